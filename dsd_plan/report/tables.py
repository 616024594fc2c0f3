"""Tables: numbers in one unit a column, aligned on the decimal point; sortable and downloadable where script runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

from dsd_plan.domain.profile import Origin
from dsd_plan.report.markup import Html, json_for_script, mark, name, printable, safe
from dsd_plan.report.numbers import THIN, UNKNOWN, count, given, is_share, label, number, share, shown_unit

FIGURE_SPACE, PUNCTUATION_SPACE = "\u2007", "\u2008"
PADS_AND_GHOSTS = re.compile(r'<span (?:aria-hidden="true"|class="unit ghost")>[^<]*</span>')
"""What fills a number's cell and is not read."""
SPACED, ANY_TAG = re.compile(r'<span class="(?:unit|mark|kept)[^>]*>(?=[^<])'), re.compile("<[^>]*>")
TAG = re.compile(r'<span class="tag">([^<]*)</span> (?=[^<\s])')
"""A word that is set apart from what follows by its looks."""
LEAST_MS = 0.001
"""What is shorter is only said to be shorter."""
MOST_SHOWN, MOST_KEPT = 12, 1000
"""Rows of a longer table that are drawn, and those that script can show, sort, search and save besides."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a cell. Cells of a column share one unit, so that a column can be read at a glance."""

    value: float | None
    unit: str = ""
    """"ms" becomes s where the whole column is longer than a second; "%" takes a share; "#" is a whole number."""
    origin: Origin | None = None
    kept: bool | None = None
    """Whether a budget is kept; None: there is none."""
    unknown: str = UNKNOWN
    """What is said where there is no value."""
    given: bool = False
    """Whether somebody wrote the number down: it is shown as it was written."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words in a cell that sort or export as something else than they show."""

    html: Html
    raw: str


Cell = Html | str | Number | Words


@dataclass(frozen=True, slots=True)
class Table:
    """Columns (headings), rows of as many cells, and which rows are marked as chosen."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    chosen: frozenset[int] = frozenset()
    file: str = "table"
    """Name of the CSV file that a reader may save."""
    style: str = ""


def named(text: object) -> Words:
    """A name from a file, as a cell."""
    return Words(name(text), printable(text))


def quantity_cell(quantity: str, value: float | None, origin: Origin | None = None, kept: bool | None = None) -> Number:
    """A cell for the quantity called `quantity`, e.g. "tpot_p95_ms" or "goodput_share"."""
    base = quantity.split(".")[0]
    return Number(value, "%" if is_share(base) else shown_unit(base), None if value is None else origin, kept)


def given_cell(quantity: str, value: float | None) -> Number:
    """A cell for a limit or a setting of the quantity called `quantity`."""
    return replace(quantity_cell(quantity, value), given=True)


def table_html(table: Table, identity: str) -> Html:
    """The table's HTML. `identity` becomes its id. Of a long one the first rows are drawn, more are left to script."""
    shown = len(table.rows) if len(table.rows) <= MOST_SHOWN + MOST_SHOWN // 2 else MOST_SHOWN
    columns = [_column(heading, [row[at] for row in table.rows]) for at, heading in enumerate(table.columns)]
    head = "".join(f'<th scope="col"{_class(column.style)}>{_heading(column)}</th>' for column in columns)
    body = []
    for at, row in enumerate(table.rows[:shown]):
        cells = (
            f'<td{_class(column.style)} data-label="{safe(column.heading)}"{_raw(cell)}>{column.cells[at]}</td>'
            for column, cell in zip(columns, row, strict=True)
        )
        body.append(f"<tr{_class('chosen' if at in table.chosen else '')}>{''.join(cells)}</tr>")
    empty = "" if table.rows else f'<tr><td colspan="{len(table.columns)}">none</td></tr>'
    return Html(
        f'<div class="table {table.style}" role="region" aria-label="{safe(table.title)}" tabindex="0">'
        f'<table id="{identity}" data-file="{safe(table.file)}"><caption>{safe(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}{empty}</tbody></table>"
        f"{_more(table, columns, shown, identity)}</div>"
    )


def _more(table: Table, columns: list[_Column], shown: int, identity: str) -> str:
    """What stands below a long table, and its further rows as texts with what sorting takes instead."""
    many = len(table.rows)
    if shown == many:
        return ""
    rest = [
        [_plain_cell(cell, column.cells[at]) for column, cell in zip(columns, table.rows[at], strict=True)]
        for at in range(shown, min(many, MOST_KEPT))
    ]
    beyond = f"; {many - MOST_KEPT:,} of them are in the study alone" if many > MOST_KEPT else ""
    counts = f'data-shown="{shown}" data-rows="{many}" data-kept="{MOST_KEPT}"'
    return (
        f'<p class="more small" {counts}>and {many - shown:,} more{beyond}</p>'
        f'<script type="application/json" id="{identity}-rest" class="rest">{json_for_script(rest)}</script>'
    )


def _plain_cell(cell: Cell, html: Html) -> str | list[str]:
    """A cell's text, and its value for sorting where that is another."""
    text = _plain_text(html)
    if isinstance(cell, Number):
        return [text, "" if cell.value is None else repr(float(cell.value))]
    return [text, cell.raw] if isinstance(cell, Words) and text != cell.raw else text


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


def _raw(cell: Cell) -> str:
    """What sorting and CSV take instead of the text shown."""
    if isinstance(cell, Number):
        return f' data-raw="{"" if cell.value is None else repr(float(cell.value))}"'
    return f' data-raw="{safe(cell.raw)}"' if isinstance(cell, Words) else ""


def _heading(column: _Column) -> str:
    """Its words and their unit, which a stylesheet may set below them."""
    words, comma, unit = column.heading.rpartition(", ")
    if not comma or not column.unit:
        return safe(column.heading)
    return f'{safe(words)}<span class="in"><span class="comma">, </span>{safe(unit)}</span>'


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    style: str
    cells: list[Html]
    unit: bool = False
    """Whether the heading ends in a unit."""


def _column(heading: str, cells: Sequence[Cell]) -> _Column:
    """Its cells' HTML; a unit that all its numbers share moves into the heading."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    if not numbers:
        return _Column(heading, "", [_words(cell) for cell in cells])
    times = [cell.value for cell in numbers if cell.unit == "ms" and cell.value is not None]
    seconds = bool(times) and min(times) >= 1000
    units = {_unit(cell, seconds) for cell in numbers}
    shared = units.pop() if len(units) == 1 else None
    texts = [_text(cell, seconds) for cell in numbers]
    look = _Look(
        unit=shared is None,
        seconds=seconds,
        fraction=max(len(text.partition(".")[2]) for text in texts),
        marked=any(cell.origin for cell in numbers),
        judged=any(cell.kept is not None for cell in numbers),
    )
    shown = iter(texts)
    html = [_number_html(cell, next(shown), look) if isinstance(cell, Number) else _words(cell) for cell in cells]
    return _Column(f"{heading}, {shared}" if shared else heading, "num", html, bool(shared))


@dataclass(frozen=True, slots=True)
class _Look:
    """What the numbers of a column have in common."""

    unit: bool
    """Whether each cell says its unit."""
    seconds: bool
    fraction: int
    """Digits after the point in the longest fraction."""
    marked: bool
    judged: bool


def _words(cell: Cell) -> Html:
    return cell.html if isinstance(cell, Words) else safe(cell)


def _unit(cell: Number, seconds: bool) -> str:
    return {"#": "", "ms": "s" if seconds else "ms"}.get(cell.unit, cell.unit)


def _text(cell: Number, seconds: bool) -> str:
    if cell.value is None:
        return cell.unknown
    if cell.unit == "#":
        return count(cell.value)
    scale = {"%": 100.0, "ms": 0.001 if seconds else 1.0}.get(cell.unit, 1.0)
    if cell.given:
        return given(round(cell.value * scale, 9))
    if cell.unit == "ms" and 0 < abs(cell.value) < LEAST_MS:
        return f"< {LEAST_MS}"
    return share(cell.value).split(THIN)[0] if cell.unit == "%" else number(cell.value * scale)


def _number_html(cell: Number, text: str, look: _Look) -> Html:
    unit = _unit(cell, look.seconds) if look.unit else ""
    if cell.value is None:
        shown, digits = f'<span class="unknown">{safe(text)}</span>', look.fraction if len(text) > 1 else 0
    else:
        shown, digits = str(safe(text)), len(text.partition(".")[2])
    if digits < look.fraction:
        pad = (PUNCTUATION_SPACE if not digits else "") + FIGURE_SPACE * (look.fraction - digits)
        shown += f'<span aria-hidden="true">{pad}</span>'
    tail = f'<span class="unit{" ghost" if cell.value is None else ""}">{safe(unit)}</span>' if unit else ""
    sign = mark(cell.origin) or (Html('<span class="mark"></span>') if look.marked else "")
    empty = Html('<span class="kept"></span>') if look.judged else ""
    return Html(f"{shown}{tail}{sign}{empty if cell.kept is None else kept_html(cell.kept)}")


def kept_html(kept: bool) -> Html:
    """✓ or ✗; only a broken budget is red."""
    if kept:
        return Html('<span class="kept" role="img" aria-label="kept">✓</span>')
    return Html('<span class="kept broken" role="img" aria-label="broken">✗</span>')


def records_table(title: str, records: Sequence[Mapping[str, Any]], file: str) -> Table:
    """A table of dictionaries whose keys are its columns: nothing is left out, nothing is reckoned."""
    keys = list(dict.fromkeys(str(key) for record in records for key in record))
    rows = tuple(tuple(_anything(key, record.get(key)) for key in keys) for record in records)
    chosen = frozenset(at for at, record in enumerate(records) if record.get("chosen") is True)
    return Table(title, tuple(label(key) for key in keys), rows, chosen, file=file)


def _anything(key: str, value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: UNKNOWN}[value]
    if isinstance(value, int):
        return Number(value, "#")
    if isinstance(value, float):
        return quantity_cell(key, value)
    return named(value)


def table_texts(table: Table) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as plain text: the same units and digits as in HTML, signs included."""
    columns = [_column(heading, [row[at] for row in table.rows]) for at, heading in enumerate(table.columns)]
    rows = [[_plain_text(column.cells[at]) for column in columns] for at in range(len(table.rows))]
    return [column.heading for column in columns], rows


def _plain_text(html: Html) -> str:
    seen = PADS_AND_GHOSTS.sub("", html).replace('</span><span class="line">', "</span>, <span>")
    seen = TAG.sub(r"\1: ", seen)
    return unescape(ANY_TAG.sub("", SPACED.sub(f"{THIN}\\g<0>", seen))).strip(
        f" {FIGURE_SPACE}{PUNCTUATION_SPACE}{THIN}"
    )
