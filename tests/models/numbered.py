"""Several devices on a CPU, for models whose layers lie on different GPUs.

PyTorch lets a backend be written in Python. The tensors of this one are kept and computed by the
CPU, each on a device with a number, and an operation on tensors of two devices fails, as on GPUs.
A process has one such backend for good: use it in processes that do nothing else.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME, KEY = "numbered", "PrivateUse1"
_MOVES = {"_to_copy", "copy_"}


class Placed(torch.Tensor):
    """A tensor on a numbered device; `kept` is the same one on the CPU."""

    kept: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor, device: torch.device) -> Placed:
        placed: Placed = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=device,
        )
        placed.kept = values
        return placed

    def tolist(self) -> Any:
        return self.kept.tolist()

    def data_ptr(self) -> int:
        return self.kept.data_ptr()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert a tensor on {self.device} to numpy")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, *args, **(kwargs or {}))


class _Module(_DummyBackendModule):
    """The functions of `torch.cuda` that count devices and their memory."""

    def __init__(self, free: list[int]) -> None:
        self.free = free

    def device_count(self) -> int:
        return len(self.free)

    def mem_get_info(self, index: int) -> tuple[int, int]:
        return self.free[index], self.free[index]


def _computed(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Compute on the CPU; the result lies where it was asked, or where the arguments do."""
    flat, form = tree_flatten((args, kwargs))
    asked = [each for each in flat if isinstance(each, torch.device)]
    wanted = asked[0] if asked else _device_of(func, flat)
    bare, options = tree_unflatten([_bare(each) for each in flat], form)
    result = func(*bare, **options)
    if func._schema.is_mutable:  # an operation in place
        return args[0]
    if wanted.type != NAME:
        return result
    return tree_map(lambda each: Placed(each, wanted) if torch.is_tensor(each) else each, result)


def _device_of(func: Any, flat: list[Any]) -> torch.device:
    """The one device of the tensors; those without dimensions may lie on the CPU."""
    tensors = [each for each in flat if isinstance(each, torch.Tensor)]
    places = {each.device for each in tensors if each.dim() or each.device.type == NAME}
    name = func._schema.name.removeprefix("aten::")
    if len(places) > 1 and name not in _MOVES:
        raise RuntimeError(f"{name}: tensors on {', '.join(sorted(map(str, places)))}")
    return next(iter(places), torch.device("cpu"))


def _copy(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _bare(target).copy_(_bare(source))
    return target


def register(free: list[int]) -> None:
    """Make as many devices `numbered:0`, `numbered:1` and so on, with free memory in bytes."""
    torch.inference_mode = torch.no_grad  # its tensors cannot be those of a Python backend
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module(free))
    aten = torch.ops.aten
    made = [aten.empty.memory_format, aten.empty_strided.default, aten.arange.default]
    for operation in [*made, aten.arange.start, aten.arange.start_step]:
        torch.library.impl(operation.name(), KEY)(partial(_computed, operation))
    torch.library.impl("aten::_copy_from", KEY)(_copy)


def _bare(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.kept if isinstance(value, Placed) else value
