"""What reaches the terminal: results on stdout, progress and warnings on stderr; reads without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

COLUMNS, MOST_COLUMNS = 80, 120
THIN_SPACE = "\u202f"
UNSEEN = dict.fromkeys([*range(10), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""Control characters (but the line's end) and marks of writing direction: no name may steer a terminal."""


def columns() -> int:
    """How wide the terminal is, from 80 to 120 columns; 80 where there is none, so that a file never depends on one."""
    import shutil
    import sys

    if not sys.stdout.isatty():
        return COLUMNS
    return max(COLUMNS, min(shutil.get_terminal_size((COLUMNS, 24)).columns, MOST_COLUMNS))


def visible(text: str) -> str:
    """What may be printed of a text, with spaces as wide as a terminal's cells."""
    return text.replace(THIN_SPACE, " ").translate(UNSEEN)


def say(text: str = "") -> None:
    """A line of the result."""
    typer.echo(visible(text))


def say_wrapped(text: str) -> None:
    """Prose of the result, in lines as wide as the terminal that begin as far in as the first."""
    width = columns()
    indent = text[: len(text) - len(text.lstrip(" "))]
    # A number stays with its unit: lines break at plain spaces alone.
    lines: list[str] = []
    for word in text.split(" "):
        if word and lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        elif word:
            lines.append(indent + word)
    say("\n".join(lines))


def warn(text: str) -> None:
    """A line that a user must see and a program must not."""
    typer.echo(f"warning: {visible(text)}", err=True)


def say_json(result: Mapping[str, Any]) -> None:
    """The result for a program: the same result gives the same bytes."""
    from dsd_plan.files import json_text

    typer.echo(json_text(result), nl=False)


def show_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", text_columns: int = 1
) -> None:
    """A table on stdout; the first `text_columns` columns hold words, the others numbers, set flush right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        say(title)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(headers))
    for position, header in enumerate(headers):
        table.add_column(
            Text(header, style="bold"),
            justify="left" if position < text_columns else "right",
            overflow="fold",
            no_wrap=position >= text_columns,
        )
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console = Console(highlight=False)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        typer.echo(line.rstrip())


OnProgress = Callable[[int, int, str], None]
"""(done, total, what is going on or has been found)."""


class Progress:
    """Called like an `OnProgress`; `say` leaves a line that stays."""

    def __init__(self, move: OnProgress, line: Callable[[str], None]) -> None:
        self._move = move
        self._line = line

    def __call__(self, done: int, total: int, text: str) -> None:
        """How far the work is, and what is going on."""
        self._move(done, total, text)

    def say(self, text: str) -> None:
        """A line on stderr, above the one that moves."""
        self._line(visible(text))


@contextmanager
def progress(task: str) -> Iterator[Progress]:
    """How far long work is, on stderr: one line that moves on a terminal, a line a tenth elsewhere."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        tenths: list[int] = []

        def line(done: int, total: int, text: str) -> None:
            tenth = 10 * done // total
            if tenths[-1:] != [tenth]:
                tenths.append(tenth)
                typer.echo(f"{task}: {visible(text)}", err=True)

        yield Progress(line, lambda text: typer.echo(f"{task}: {text}", err=True))
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        shown = bar.add_task(task, total=None, text="")

        def move(done: int, total: int, text: str) -> None:
            bar.update(shown, completed=done, total=total, text=visible(text))

        yield Progress(move, lambda text: bar.console.print(text, markup=False, soft_wrap=False))
