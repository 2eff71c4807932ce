"""A whole run on object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import Command
from tests.integration.s3 import served

pytestmark = pytest.mark.ray


@pytest.fixture
def bucket(command: Command) -> Iterator[str]:
    """s3://BUCKET on a server in this process, which only `command` knows."""
    with served("runs") as environment:
        command.environment |= environment
        yield "s3://runs"


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
