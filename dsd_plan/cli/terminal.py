"""What reaches the terminal: results on stdout, progress and warnings on stderr; reads without colour."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import floor, log10
from typing import Any

import typer

UNKNOWN = "–"


def say(text: str = "") -> None:
    """A line of the result."""
    typer.echo(text)


def warn(text: str) -> None:
    """A line that a user must see and a program must not."""
    typer.echo(f"warning: {text}", err=True)


def say_json(result: Mapping[str, Any]) -> None:
    """The result for a program: the same result gives the same bytes."""
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


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
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def number(value: float | None) -> str:
    """Three significant digits, thousands separated: 0.0412, 1.27, 31.4, 2,900."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    digits = float(f"{value:.3g}")
    exponent = floor(log10(abs(digits)))
    if exponent < -3:
        return f"{digits:.2e}"
    return f"{digits:,.{max(0, 2 - exponent)}f}"


def milliseconds(value: float | None) -> str:
    """A time in the unit that reads best: 31.4 ms, 1.27 s."""
    if value is None:
        return UNKNOWN
    return f"{number(value)} ms" if value < 1000 else f"{number(value / 1000)} s"


def share(value: float | None) -> str:
    """A share as a percentage: 97.2 %."""
    return UNKNOWN if value is None else f"{number(100 * value)} %"


Report = Callable[[float, str], None]
"""Tells how far long work is (0 … 1) and what it does or has found."""


@contextmanager
def progress(task: str) -> Iterator[Report]:
    """How far long work is, on stderr: one line that moves on a terminal, a line a step elsewhere."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        said: set[str] = set()

        def line(done: float, text: str) -> None:
            if text not in said:
                said.add(text)
                typer.echo(f"{task}: {text}", err=True)

        yield line
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task(task, total=1.0, text="")
        yield lambda done, text: bar.update(shown, completed=done, text=text)
    sys.stderr.flush()
