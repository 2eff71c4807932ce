"""A whole run on object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import Command

pytestmark = pytest.mark.ray


@pytest.fixture
def bucket(command: Command) -> Iterator[str]:
    """s3://BUCKET on a server in this process (moto), which only `command` knows."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    client.create_bucket(Bucket="runs")
    command.environment |= {**keys, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    yield "s3://runs"
    server.stop()


def test_a_run_on_s3_is_the_same_run(command: Command, finished: Path, bucket: str) -> None:
    store = f"{bucket}/tiny"
    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert "7 stages done" in answer.out
    assert command.results(store) == command.results(finished)
    page = command.folder / "reports/tiny/report.html"
    assert page.stat().st_size > 10_000
    again = command.run(store)
    assert again.status == 0, again.text
    assert "nothing to run" in again.out
