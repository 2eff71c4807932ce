"""Run several Ray nodes on one machine, autoscaled: `python clusters/local/cluster.py start`.

It stops only what it started, and never calls `ray stop`, which ends every Ray on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

HERE = Path(__file__).resolve().parent
# Short, because Unix sockets lie below it and their paths are limited to 107 characters.
FOLDER = Path(f"/tmp/rs-local-{os.getuid()}")
HEAD_ID = "f" * 51 + "00000"  # Ray's provider recognises the head by it
START_S = 120.0
STOP_S = 20.0


@dataclass
class LocalCluster:
    """A head in its own session, which also contains the nodes that its autoscaler starts."""

    config: dict[str, Any] = field(default_factory=lambda: read(HERE / "cluster.yaml"))
    folder: Path = FOLDER
    port: int = 0  # GCS port; 0: a free one
    dashboard_port: int = 0
    pid: int = 0

    @property
    def ip(self) -> str:
        """The head's loopback address."""
        return f"{self.config['provider']['subnet']}100"

    @property
    def address(self) -> str:
        """host:port of the GCS."""
        return f"{self.ip}:{self.port}"

    @property
    def url(self) -> str:
        """URL of the dashboard, which takes jobs."""
        return f"http://{self.ip}:{self.dashboard_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that a process needs to join or to submit."""
        return {
            "RAY_ADDRESS": self.address,
            "RAY_API_SERVER_ADDRESS": self.url,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
        }

    def start(self) -> None:
        """Start the head and wait until it takes jobs.

        Raises:
            RuntimeError: it ended, or does not answer in two minutes; includes its last output.
        """
        self.folder.mkdir(mode=0o700, parents=True)
        _write_secret(self.folder / "token")
        ports = _free_ports(self.ip, 9)
        self.port, self.dashboard_port = self.port or ports[0], self.dashboard_port or ports[1]
        config = {**self.config, "provider": {**self.config["provider"],
                  "gcs_address": self.address, "head_node_id": HEAD_ID}}  # fmt: skip
        autoscaling = self.folder / "autoscaling.json"
        autoscaling.write_text(json.dumps(config))
        log = self.folder / "head.log"
        with log.open("w") as out:
            head = subprocess.Popen(
                self._command(autoscaling, ports[2:]),
                env=self._head_environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = head.pid
        self._save()
        end = time.monotonic() + START_S
        while not _answers(f"{self.url}/api/gcs_healthz"):
            if head.poll() is not None or time.monotonic() > end:
                words = log.read_text()[-2000:]
                self.stop()
                raise RuntimeError(f"the head did not start:\n{words}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the head and all processes of its session, and remove its folder."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            processes = _session(self.pid)
            for process in processes:
                _send(process, number)
            psutil.wait_procs(processes, timeout=STOP_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> LocalCluster:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _command(self, autoscaling: Path, ports: list[int]) -> list[str]:
        head = self.config["available_node_types"][self.config["head_node_type"]]
        names = ("ray-client-server-port", "dashboard-agent-listen-port",
                 "dashboard-agent-grpc-port", "metrics-export-port", "runtime-env-agent-port",
                 "node-manager-port", "object-manager-port")  # fmt: skip
        return [
            str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
            f"--node-ip-address={self.ip}", f"--port={self.port}",
            f"--dashboard-host={self.ip}", f"--dashboard-port={self.dashboard_port}",
            f"--num-cpus={head['resources'].get('CPU', 0)}", "--object-store-memory=100000000",
            f"--temp-dir={self.folder / 'ray'}", f"--autoscaling-config={autoscaling}",
            *(f"--{name}={port}" for name, port in zip(names, ports, strict=True)),
        ]  # fmt: skip

    def _head_environment(self) -> dict[str, str]:
        other = {"RAY_ADDRESS", "RAY_GCS_SERVER_PORT"}  # name another cluster
        inherited = {key: value for key, value in os.environ.items() if key not in other}
        mine = {key: value for key, value in self.environment.items() if "ADDRESS" not in key}
        path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **inherited,
            **mine,
            # Jobs are shell commands and must find this Python's commands.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(path),
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_FAKE_CLUSTER": "1",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_autoscaler_v2": "1",
        }

    def _save(self) -> None:
        known = {**asdict(self), "folder": str(self.folder)}
        (self.folder / "cluster.json").write_text(json.dumps(known))

    @classmethod
    def load(cls, folder: Path = FOLDER) -> LocalCluster:
        """Load the cluster that an earlier process started."""
        known = json.loads((folder / "cluster.json").read_text())
        return cls(**{**known, "folder": folder})


def read(path: Path) -> dict[str, Any]:
    """Read a cluster file as plain data."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


def _write_secret(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def _free_ports(ip: str, number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind((ip, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def _session(leader: int) -> list[psutil.Process]:
    """List all processes of a session."""
    processes = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                processes.append(process)
        except OSError:
            continue  # it has just ended
    return processes


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _runs() -> bool:
    try:
        return bool(_session(LocalCluster.load().pid))
    except (OSError, ValueError):
        return False


def main() -> None:
    """Start, stop or show this user's cluster."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=("start", "stop", "show"))
    parser.add_argument("--config", type=Path, default=HERE / "cluster.yaml")
    options = parser.parse_args()
    running = _runs()
    if options.verb == "start":
        if running:
            sys.exit(f"a cluster is already running ({FOLDER}): stop it first")
        shutil.rmtree(FOLDER, ignore_errors=True)  # left by one that was killed
        cluster = LocalCluster(read(options.config))
        cluster.start()
    elif not running:
        sys.exit("you have no cluster running here: python clusters/local/cluster.py start")
    else:
        cluster = LocalCluster.load()
    if options.verb == "stop":
        cluster.stop()
        return
    for name, value in cluster.environment.items():
        print(f"export {name}={value}")


if __name__ == "__main__":
    main()
