"""A filesystem that is slow to write: `slow:///folder` is that folder of this host."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

BYTES_PER_S = 1_000_000
BLOCK = 10_000


class SlowFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A local filesystem behind a narrow link."""

    protocol = ("slow",)

    def put_file(self, lpath: str, rpath: str, *_: Any, **__: Any) -> None:
        with Path(lpath).open("rb") as source, Path(rpath).open("wb", buffering=0) as target:
            while block := source.read(BLOCK):
                target.write(block)
                time.sleep(len(block) / BYTES_PER_S)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(path.removeprefix("slow://")))


fsspec.register_implementation("slow", SlowFileSystem, clobber=True)
