"""Disturbances that last: what hangs, is cut off, is full, or is lost again and again.

Each happens while the drawn stage is at work, or not at all (`TooLate`), and leaves a trace by
which the harness sees that it was felt.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psutil

from experiments.benchmarks.chaos.cluster import Node, kill
from experiments.benchmarks.chaos.hold import Held, thread_in
from experiments.benchmarks.chaos.kind import TRAINING, Kind
from experiments.benchmarks.chaos.scene import Scene, TooLate

WORKER = "ray::RayTrainWorker"
LOSSES = 3
FULL_S = 120.0  # a disk is freed after this, although nobody has noticed
STAYS_FULL_S = (2.0, 20.0)  # after somebody has: the next try must not fail there, too
REJOINS_S = 90.0  # a node that was cut off goes on in this time, or Ray has given it up
LOOK_S = 0.2


def stopped(scene: Scene) -> str:
    """Stop the process in which the stage runs: it is there, and answers nothing."""
    return _stop(scene, scene.process(f"ray::{scene.stage}"))


def stopped_worker(scene: Scene) -> str:
    """Stop one of the training workers; the other waits for it."""
    return _stop(scene, scene.process(WORKER))


def hung(scene: Scene) -> str:
    """Hold the training of one worker, which answers Ray all the same: a collective that hangs."""
    process = scene.process(WORKER)
    thread = thread_in(process, "train_loop") if process else None
    if process is None or thread is None:
        raise TooLate("no worker was training any more")
    try:
        held = Held(thread)
    except OSError as error:
        raise TooLate(f"the thread was gone: {error}") from error
    scene.repairs.append(held.release)
    if scene.ended:
        held.release()
        raise TooLate(f"{scene.stage} had just ended")
    scene.traces.append(partial(_stalled, scene))
    return f"held thread {thread} of worker {process.pid} of {scene.stage}"


def silence(scene: Scene) -> str:
    """Let the store answer nothing for some minutes, and then all that it was asked."""
    _require_work(scene)
    scene.repairs.append(scene.bucket.heal)
    scene.bucket.fall_silent()
    _wait(scene, scene.silence_s)
    scene.bucket.heal()
    if scene.bucket.held == 0:
        raise TooLate("nobody asked the store")
    return f"no answer to {scene.bucket.held} requests for {scene.silence_s:g} s in {scene.stage}"


def node_disk(scene: Scene) -> str:
    """Fill the disk of the stage's node, and free it some time after a stage has failed."""
    place = _place(scene)
    if place.disk is None:
        raise SystemExit("the kind `node-disk` mounts small disks, which only root may do")
    filler = place.disk / "filler"
    free = scene.rng.choice([0, 4096, 65536, 262144])
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - free))
    scene.repairs.append(partial(filler.unlink, missing_ok=True))
    began, known = time.monotonic(), scene.watch.failed.copy()
    while scene.watch.failed == known and scene.command.running and not scene.ended:
        if time.monotonic() - began > FULL_S:
            break
        time.sleep(LOOK_S)
    _wait(scene, scene.rng.uniform(*STAYS_FULL_S))
    seconds = time.monotonic() - began
    filler.unlink(missing_ok=True)
    failed = ", ".join(scene.watch.failed - known)
    if not failed:
        raise TooLate(f"{scene.stage} did not write to {place.ip} any more in {seconds:.0f} s")
    return f"filled the disk of {place.ip} except {free} bytes for {seconds:.0f} s: {failed} failed"


def partition(scene: Scene) -> str:
    """Cut the stage's node off from all others and from the store; then it is back."""
    place = _place(scene)
    if place.link is None:
        raise SystemExit("the kinds `partition` need networks: root and iproute2")
    place.link.open()
    try:
        if scene.ended:
            raise TooLate(f"{scene.stage} had just ended")
        _wait(scene, scene.cut_s)
    finally:
        place.link.close()
    fate = "stays" if _stays(scene, place) else "is given up"
    return f"cut {place.ip} off for {scene.cut_s:g} s, {scene.stage}; the node {fate}"


def losses(scene: Scene) -> str:
    """Kill the node of one stage as soon as it works there again, three times in a row."""
    lost: list[str] = []
    with ThreadPoolExecutor(1) as joining:  # the stage goes on elsewhere before others have joined
        while len(lost) < LOSSES:
            place = _place(scene, but=lost)
            time.sleep(scene.rng.uniform(0.0, 1.5))
            _require_work(scene, f" after {len(lost)} losses")
            scene.cluster.kill(place)
            lost.append(place.ip)
            joining.submit(scene.cluster.add)
    return f"killed {', '.join(lost)} one after the other, {scene.stage}"


_HANGS = ("runtime.stall_s=8",)

_lasting = partial(Kind, survived=True, turns=5)
_of_workers = partial(_lasting, stages=TRAINING, workers=2, least=1)

LASTING: dict[str, Kind] = {
    "stopped": _lasting(stopped, settings=_HANGS),
    "stopped-worker": _of_workers(stopped_worker, settings=_HANGS),
    "hung": _of_workers(hung, settings=_HANGS),
    "s3-silence": _lasting(silence, where="s3"),
    "node-disk": _lasting(node_disk, where="s3"),
    "partition": _lasting(partition, where="s3"),
    "partition-worker": _of_workers(partition, where="s3"),
    "losses": _lasting(losses, stages=(*TRAINING, "evaluate")),
}


def _stop(scene: Scene, process: psutil.Process | None) -> str:
    if process is None:
        raise TooLate(f"the process of {scene.stage} was already gone")
    process.send_signal(signal.SIGSTOP)
    if scene.ended:
        process.send_signal(signal.SIGCONT)
        raise TooLate(f"{scene.stage} had just ended")
    scene.repairs.append(partial(kill, process))
    scene.traces.append(partial(_stalled, scene))
    return f"stopped process {process.pid} of {scene.stage}"


def _stalled(scene: Scene) -> str:
    """The trace of a process that hangs: the stacks that were kept."""
    return "" if scene.stage in scene.watch.stalled else f"{scene.stage} was not found to stall"


def _require_work(scene: Scene, when: str = "") -> None:
    if scene.ended or not scene.watch.progress(scene.stage):
        raise TooLate(f"{scene.stage} was not at work{when}")


def _place(scene: Scene, but: list[str] | None = None) -> Node:
    """Wait until the stage works on a node, and not on one of those that are lost by now."""
    found: list[Node] = []

    def known() -> bool:
        found[:] = [node for node in scene.places() if node.ip not in (but or ())]
        return bool(found) or scene.ended

    scene.until(known)
    if scene.ended or not found:
        raise TooLate(f"{scene.stage} was not at work any more")
    return scene.rng.choice(found)


def _wait(scene: Scene, seconds: float) -> None:
    end = time.monotonic() + seconds
    while scene.command.running and time.monotonic() < end:
        time.sleep(LOOK_S)


def _stays(scene: Scene, place: Node) -> bool:
    """Wait for the fate of a node that was cut off; another one joins if Ray has given it up."""
    end = time.monotonic() + REJOINS_S
    while scene.command.running and time.monotonic() < end:
        if place.process.poll() is not None:
            scene.cluster.kill(place)
            scene.cluster.add()
            return False
        time.sleep(LOOK_S)
    return True
