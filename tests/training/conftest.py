"""One tiny model and one rows folder for all training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.tiny import make_model, make_rows, make_scorer, write_rows


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def rows_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_rows(tmp_path_factory.mktemp("data") / "rows", make_rows(100)))


@pytest.fixture(scope="session")
def scorer_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preference model that knows nothing yet."""
    return make_scorer(tmp_path_factory.mktemp("scorer"), model_dir, seed=1)
