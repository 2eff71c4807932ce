"""A store from outside, while others work in it: attempts, finished stages, checkpoints.

What was seen is kept, so that a stage which ran again after it was finished is noticed although
the store itself only knows the last attempt.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

LOOK_S = 0.05
_ATTEMPT = re.compile(r"(\w+/[^/]+)/(files-[0-9a-f]{12})(?:/|$)")
_MARKER = re.compile(r"(\w+/[^/]+)/SUCCESS$")
# In-process training marks a whole checkpoint itself; Ray Train lists those of its workers.
_WHOLE = re.compile(r"(\w+/[^/]+)/checkpoints/[^/]+/step-(\d+)/complete\.json$")
_LISTED = re.compile(r"(\w+/[^/]+)/checkpoints/[^/]+/checkpoint_manager_snapshot\.json$")
_STEP = re.compile(r"step-(\d+)")

Names = Callable[[], Iterable[str]]


@dataclass
class Watch:
    """Looks at a store all the time (as a context manager); everything is by stage path."""

    names: Names  # of all files, relative
    folder: Path | None = None  # of a local store
    attempts: dict[str, list[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    checkpoints: dict[str, int] = field(default_factory=dict)  # step of the last whole one
    again: list[str] = field(default_factory=list)  # attempted after they were finished
    spoilt: set[str] = field(default_factory=set)  # by us: those must run again
    _stop: threading.Event = field(default_factory=threading.Event)

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
        """Once over the store."""
        markers = set()
        for name in self.names():
            if found := _ATTEMPT.match(name):
                self._attempted(*found.groups())
            elif found := _MARKER.match(name):
                markers.add(found[1])
            elif found := _WHOLE.match(name):
                self.checkpoints[found[1]] = max(int(found[2]), self.checkpoints.get(found[1], 0))
            elif found := _LISTED.match(name):
                if steps := self._listed(name):
                    self.checkpoints[found[1]] = max(steps)
        self.done |= markers

    def step(self, path: str) -> int:
        """The last step of a running stage that is known from outside."""
        known = self.checkpoints.get(path, 0)
        if self.folder is None:
            return known
        try:
            said = json.loads((self.folder / path / "progress.json").read_bytes())
            return max(known, int(said.get("step", 0)))
        except (OSError, ValueError, AttributeError):
            return known

    def _attempted(self, path: str, attempt: str) -> None:
        known = self.attempts.setdefault(path, [])
        if attempt in known:
            return
        known.append(attempt)
        if path in self.done and path not in self.spoilt:
            self.again.append(path)

    def _listed(self, name: str) -> list[int]:
        """Steps of the checkpoints that Ray Train counts as whole."""
        if self.folder is None:
            return []
        try:
            text = (self.folder / name).read_text()
        except OSError:
            return []
        return [int(step) for step in _STEP.findall(text)]

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()


def local_names(folder: Path) -> Names:
    """Names of all files and folders below a local store."""

    def names() -> list[str]:
        found = []
        for base, folders, files in os.walk(folder):
            inside = os.path.relpath(base, folder)
            prefix = "" if inside == "." else f"{inside}/"
            found += [f"{prefix}{name}" for name in (*folders, *files)]
        return found

    return names
