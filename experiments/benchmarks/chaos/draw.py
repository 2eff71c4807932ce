"""The random draw of disturbances, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random

from experiments.benchmarks.chaos.kind import TRAINING
from experiments.benchmarks.chaos.kinds import KINDS
from experiments.benchmarks.chaos.scene import GRID
from experiments.benchmarks.chaos.watch import Watch

MIDST = 0.6  # share of a training in which it is disturbed: it must not end before it feels that


@dataclass(frozen=True)
class Drawn:
    """A disturbance before it happens; the same for the same seed and number."""

    number: int
    kind: str
    stage: str
    step: int  # in a training stage; elsewhere 0, its start
    at_once: int  # stages
    rng: Random = field(compare=False)

    @property
    def moment(self) -> str:
        """The moment of the disturbance."""
        return f"{self.stage} at step {self.step}" if self.step else f"start of {self.stage}"

    def reached(self, watch: Watch) -> bool:
        """True once it has come to it, or the stage is done."""
        path = self.stage
        if path in watch.done:
            return True
        if not self.step:
            return path in watch.attempts or bool(watch.progress(path))
        return watch.step(path) >= self.step


def draw(number: int, seed: int, kinds: list[str]) -> Drawn:
    """Draw a disturbance; the kinds take their turns, in an order drawn anew in each round."""
    turns = [kind for kind in kinds for _ in range(KINDS[kind].turns)]
    rounds, place = divmod(number, len(turns))
    order = Random(f"{seed} {rounds}").sample(turns, len(turns))
    rng = Random(f"{seed} {number}")
    kind = KINDS[order[place]]
    possible = [item for item in stages() if item[0].split("/")[0] in kind.stages]
    training = [item for item in possible if item[1]]
    stage, steps = rng.choice(training if training and rng.random() < 0.6 else possible)
    step = rng.randrange(1, int(MIDST * steps)) if steps and rng.random() < 0.8 else 0
    step = max(step, kind.least)
    return Drawn(number, order[place], stage, step, rng.choice([1, 2]), rng)


@cache
def stages() -> list[tuple[str, int]]:
    """List path and training steps of every stage of the grid."""
    from raysleeper import api

    plan = api.load(GRID)
    return [
        (stage.path, stage.document["training"]["steps"] if stage.kind in TRAINING else 0)
        for stage in plan.stages.values()
    ]
