"""Damaged files of a finished store are found by their checksums, and their stages redone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import Command, artifact, commits

pytestmark = pytest.mark.ray


def flip(file: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_only_damaged_stages_are_redone(command: Command, finished: Path, store: Path) -> None:
    before = commits(store)
    weights = artifact(store, "backdoor", "model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    rows = artifact(store, "data/helpful-", "rows/part-00000.parquet")
    flip(rows)
    note = artifact(store, "evaluate/trigger-rate-ladder-0.1m-s0-", "record.json")
    flip(note)
    damaged = {"/".join(file.relative_to(store).parts[:2]) for file in (weights, rows, note)}

    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert answer.out.count("damaged, redone") == 3
    assert "3 stages done, 4 cached" in answer.out
    after = commits(store)
    assert {path for path in before if before[path] != after[path]} == damaged
    assert command.results(store) == command.results(finished)
    for kind, file in (
        ("backdoor", "model/model.safetensors"),
        ("data/helpful-", "rows/part-00000.parquet"),
    ):
        assert (
            artifact(store, kind, file).read_bytes() == artifact(finished, kind, file).read_bytes()
        )
