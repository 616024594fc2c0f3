"""Tables of numbers whose background tells small from large, where the terminal has colours."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import typer

from dsd_plan.cli.terminal import say, visible

HEAT = ("#d9ecf7", "#b5daee", "#8cc5e3", "#5faad2", "#f4c95d", "#ee9f45", "#e07b39")
"""From the quickest to the slowest, all light enough for black text."""
BARS = "▁▂▃▄▅▆▇█"
GAP = 2
MOST_ROWS = 12
MOST_NAMED = 6

Cell = tuple[float | None, str]
"""A value, which may be missing or 0, and its text."""


def heat_table(corner: str, headers: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Print rows of (name, cells), a cell being its value and its text; columns that find no room are left out.

    Of many rows some are shown, spread evenly. Colour goes with the logarithm of a value; texts alone tell everything.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    every = len(rows)
    rows = [rows[at] for at in spread_evenly(every, min(every, MOST_ROWS))]
    texts = [[headers[at], *(cells[at][1] for _, cells in rows)] for at in range(len(headers))]
    widths = [max(map(len, column)) for column in texts]
    first = max(len(corner), *(len(name) for name, _ in rows))
    shown = columns_that_fit(widths, console.width - first - 2)
    values = [value for _, cells in rows for value, _ in cells if value is not None and value > 0.0]
    low, high = (log(min(values)), log(max(values))) if values else (0.0, 0.0)
    with console.capture() as drawn:
        head = Text("  " + corner.ljust(first))
        for at in shown:
            head.append(" " * GAP + headers[at].rjust(widths[at]), style="bold")
        console.print(head)
        for name, cells in rows:
            line = Text("  " + visible(name).rjust(first))
            for at in shown:
                value, text = cells[at]
                line.append(" " * (GAP - 1))
                line.append(" " + text.rjust(widths[at]), style="" if value is None else _style(value, low, high))
            console.print(line)
    for printed in drawn.get().splitlines():
        typer.echo(printed.rstrip())
    if len(shown) < len(headers):
        left = [headers[at] for at in range(len(headers)) if at not in shown]
        named = ", ".join(left) if len(left) <= MOST_NAMED else f"{len(left)} of {len(headers)} columns"
        say(f"  no room for {named}; a wider terminal or --json shows them")
    if len(rows) < every:
        say(f"  {len(rows)} of {every} rows; --json shows all")


def _style(value: float, low: float, high: float) -> str:
    warmth = 0.0 if high == low or value <= 0.0 else (log(value) - low) / (high - low)
    return f"black on {HEAT[min(len(HEAT) - 1, int(warmth * len(HEAT)))]}"


def columns_that_fit(widths: Sequence[int], room: int) -> tuple[int, ...]:
    """Positions of columns whose widths fit: the first and the last, and those between thinned evenly."""
    count = len(widths)
    while count > 2:
        shown = spread_evenly(len(widths), count)
        if sum(widths[at] + GAP for at in shown) <= room:
            return shown
        count -= 1
    return spread_evenly(len(widths), count)


def spread_evenly(length: int, count: int) -> tuple[int, ...]:
    """`count` positions of `length`, the first and the last among them."""
    if count < 2 or length < 2:
        return tuple(range(min(count, length)))
    return tuple(dict.fromkeys(round(at * (length - 1) / (count - 1)) for at in range(count)))


def sparkline(shares: Sequence[float]) -> str:
    """A bar a share, 0 to 1; beyond is drawn as the end."""
    return "".join(BARS[min(len(BARS) - 1, max(0, int(share * len(BARS))))] for share in shares)
