"""Damaged files of a finished store are found by size or checksum, and their stages redone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import Command, artifact, commits, forget

pytestmark = pytest.mark.ray


def flip(file: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_only_damaged_stages_are_redone(command: Command, finished: Path, store: Path) -> None:
    """Other sizes are always found, other bytes when every byte is read."""
    before = commits(store)
    weights = artifact(store, "backdoor", "model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    rows = artifact(store, "data/helpful-", "rows/part-00000.parquet")
    flip(rows)
    note = artifact(store, "evaluate/trigger-rate-ladder-0.1m-s0-", "record.json")
    note.unlink()
    cut, flipped = (
        {stage_of(store, file) for file in files} for files in ((weights, note), (rows,))
    )

    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert answer.out.count("damaged, redone") == 2
    assert "2 stages done, 5 cached" in answer.out
    between = commits(store)
    assert {path for path in before if before[path] != between[path]} == cut

    answer = command.run(store, flags=("--verify",))
    assert answer.status == 0, answer.text
    assert answer.out.count("damaged, redone") == 1
    after = commits(store)
    assert {path for path in before if between[path] != after[path]} == flipped
    assert command.results(store) == command.results(finished)
    for kind, file in (
        ("backdoor", "model/model.safetensors"),
        ("data/helpful-", "rows/part-00000.parquet"),
    ):
        assert (
            artifact(store, kind, file).read_bytes() == artifact(finished, kind, file).read_bytes()
        )


def test_a_flipped_bit_is_found_by_the_stage_that_reads_it(command: Command, store: Path) -> None:
    flip(artifact(store, "base", "model/model.safetensors"))
    forget(store, "evaluate")
    answer = command.run(store)
    assert answer.status == 1, answer.text
    assert "model.safetensors is damaged" in " ".join(answer.err.split())
    assert "with --verify" in " ".join(answer.err.split())


def stage_of(store: Path, file: Path) -> str:
    """The path of the stage that a file of the store belongs to."""
    return "/".join(file.relative_to(store).parts[:2])
