"""Several nodes on one machine: a grid with more demand than nodes, up, to its end and down."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from clusters.local.cluster import HERE, LocalCluster, read
from tests.integration.command import PATIENCE_S, ROOT

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address"),
]
# A driver in a process of its own: this one may have joined another cluster.
GRID = Path(__file__).with_name("grid.py")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One spot node and two on demand, of two CPUs each; they end after six idle seconds."""
    config = read(HERE / "cluster.yaml")
    config["idle_timeout_minutes"] = 0.1
    config["provider"]["subnet"] = "127.0.5."
    types = config["available_node_types"]
    demand = types.pop("worker") | {"max_workers": 2, "priority": 0}
    spot = {"labels": {"ray.io/market-type": "spot"}, "max_workers": 1, "priority": 10}
    types |= {"spot": demand | spot, "on-demand": demand}
    folder = Path(f"/tmp/rs-test-{os.getpid()}")  # short: sockets lie below it
    with LocalCluster(config, folder) as one:
        yield one


def driver(cluster: LocalCluster, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **cluster.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(GRID), *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_a_grid_grows_the_cluster_and_leaves_it_empty(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    done = driver(cluster, str(tmp_path), "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 stages done" in done.stdout
    # The bounded spot type first, and what is wanted beyond it on demand.
    assert "on ['spot', 'on-demand', 'on-demand']" in done.stdout
    assert "empty again" in done.stdout


def test_a_new_node_leaves_a_running_jobs_files_alone(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text(
        "import os, ray\n"
        "mine = os.stat('job.py').st_ino\n"
        "ray.init()\n"
        "ray.get(ray.remote(num_cpus=1)(lambda: 0).remote())\n"
        "print('still there', os.stat('job.py').st_ino == mine)\n"
    )
    command = [str(Path(sys.executable).with_name("ray")), "job", "submit",
               "--working-dir", str(tmp_path), "--", sys.executable, "job.py"]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, **cluster.environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "still there True" in done.stdout


def test_only_the_owner_may_read_the_token(cluster: LocalCluster) -> None:
    token = Path(cluster.environment["RAY_AUTH_TOKEN_PATH"])
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700


class Metadata(BaseHTTPRequestHandler):
    """AWS' metadata server: a notice of a minute and a half, to who asks with a token."""

    def do_PUT(self) -> None:
        self.answer("token")

    def do_GET(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token"] == "token"
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 90))
        self.answer(f'{{"action": "terminate", "time": "{end}"}}')

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        return None


def test_a_spot_notice_drains_the_node(cluster: LocalCluster) -> None:
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = driver(cluster, "drain", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "s left, draining" in done.stdout
    assert "got no more work" in done.stdout


def test_stop_ends_every_process_of_the_cluster_and_no_other(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    import psutil

    bystander = subprocess.Popen(["sleep", "300"])
    try:
        cluster.stop()
        until(lambda: not any(str(cluster.folder) in " ".join(words(p))
                              for p in psutil.process_iter()))  # fmt: skip
        assert bystander.poll() is None
        assert not cluster.folder.exists()
    finally:
        bystander.kill()
        bystander.wait()


def words(process: object) -> list[str]:
    import psutil

    try:
        return list(process.cmdline())  # type: ignore[attr-defined]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
