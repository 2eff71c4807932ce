"""Hold one thread of another process, as a debugger does: the others go on and answer Ray."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PY_SPY = Path(sys.executable).with_name("py-spy")
PATIENCE_S = 30.0
LOOK_S = 0.1
_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # requests of ptrace(2)
_ALL_THREADS = 0x40000000  # __WALL of waitpid(2)
_THREAD = re.compile(r"^Thread (\d+) ", re.MULTILINE)


def thread_in(process: psutil.Process, function: str) -> int | None:
    """Find the thread of a Python process that is inside a function; None if there is none."""
    command = [str(PY_SPY), "dump", "--pid", str(process.pid)]
    dump = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    parts = _THREAD.split(dump.stdout)[1:]
    for thread, stack in zip(parts[::2], parts[1::2], strict=True):
        if f" {function} (" in stack:
            return int(thread)
    return None


@dataclass
class Held:
    """A thread that is held until `release`, or until its process is killed.

    Only the thread that attached may wait for it and let it go, so there is one for that.
    """

    thread: int
    _over: threading.Event = field(default_factory=threading.Event)
    _known: threading.Event = field(default_factory=threading.Event)
    _error: OSError | None = None

    def __post_init__(self) -> None:
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        if not self._known.wait(PATIENCE_S):
            raise TimeoutError(f"thread {self.thread} does not stop")
        if self._error is not None:
            raise self._error

    def release(self) -> None:
        """Let it go on, if it is still there."""
        self._over.set()
        self._keeper.join()

    def _keep(self) -> None:
        try:
            _ptrace(_SEIZE, self.thread)
            _ptrace(_INTERRUPT, self.thread)
            os.waitpid(self.thread, _ALL_THREADS)
        except OSError as error:
            self._error = error
            return
        finally:
            self._known.set()
        while not self._over.wait(LOOK_S):
            pid, status = os.waitpid(self.thread, _ALL_THREADS | os.WNOHANG)
            if pid and not os.WIFSTOPPED(status):  # killed: without us it would stay a zombie
                return
        with suppress(OSError):
            _ptrace(_DETACH, self.thread)


def _ptrace(request: int, thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
