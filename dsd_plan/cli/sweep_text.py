"""What a sweep found, on the terminal: the answer first, then a table for one key, a map for two."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dsd_plan.cli.heat_table import heat_table
from dsd_plan.cli.terminal import say, say_wrapped, show_table
from dsd_plan.errors import InputError
from dsd_plan.report.numbers import UNKNOWN, given, label, number, quantity
from dsd_plan.units import unit_of

if TYPE_CHECKING:
    from pathlib import Path

    from dsd_plan.domain.sweep import Value
    from dsd_plan.sweep.run import Sweep

DEFAULT = "tpot_p95_ms"
MOST_ROWS = 40
MOST_REASONS = 3
WHY_NONE = {"unstable": "full", "unsteady": "unsteady", "refused": "refused"}


def column_to_show(asked: str | None) -> str:
    """A column of numbers by its name. Raises InputError naming those that are near."""
    from dsd_plan.sweep.points import NUMBERS

    if asked is None:
        return DEFAULT
    if asked not in NUMBERS:
        near = difflib.get_close_matches(asked, NUMBERS, n=1, cutoff=0.5)
        words = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(NUMBERS[:16])}, …"
        raise InputError("--show", f'found "{asked}", which is no column of numbers; {words}')
    return asked


def show_sweep(found: Sweep, column: str) -> None:
    """How many points hold, where, and why others have no numbers; then the table or the maps."""
    say_wrapped(sentence(found))
    for line in _reasons(found.rows):
        say_wrapped(f"  {line}")
    if len(found.axes) == 1:
        say()
        _table(found, column)
    elif len(found.axes) == 2:
        for workload in _workloads(found.rows):
            say()
            _map(found, workload, column)
    else:
        say_wrapped(f"{len(found.axes)} keys make no table here; write one with -o, or see --json.")


def write_sweep_page(path: Path, scenario: Path, found: Sweep, column: str) -> None:
    """The same as a page."""
    from dsd_plan.cli.report import write_page
    from dsd_plan.report.sweep_page import SweepPage, render_sweep

    page = SweepPage(
        scenario=scenario.name,
        axes=found.axes,
        rows=found.rows,
        column=column,
        sentence=sentence(found),
        reasons=tuple(f"{line}." for line in _reasons(found.rows)),
        made=f"{found.points:,} points",
    )
    write_page(path, render_sweep(page))


def sentence(found: Sweep) -> str:
    """The answer: how many points keep every budget, and how many have no numbers."""
    points: dict[int, list[dict[str, Any]]] = {}
    for row in found.rows:
        points.setdefault(row["point"], []).append(row)
    served = {number: rows for number, rows in points.items() if all(row["outcome"] == "ok" for row in rows)}
    judged = any(row["budgets_kept"] is not None for row in found.rows)
    kept = sum(all(row["budgets_kept"] is not False for row in rows) for rows in served.values())
    without = len(points) - len(served)
    over = f", {found.taken_over:,} of them taken over from the file" if found.taken_over else ""
    text = f"{len(points):,} points{over}"
    if judged:
        text += f": {kept:,} keep every workload's budgets, {len(served) - kept:,} do not"
    if without:
        text += f"{', ' if judged else ': '}{without:,} have no numbers"
    return f"{text}."


def _reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why points have no numbers, the most frequent first."""
    by_point = {row["point"]: row for row in rows if row["outcome"] != "ok"}
    found: Counter[str] = Counter()
    for row in by_point.values():
        full = f"{row['busiest_device']} is full (saturation 1 or more)" if row["outcome"] == "unstable" else None
        found[full or str(row["reason"])] += 1
    lines = [f"{count:,} × {reason}" for reason, count in found.most_common(MOST_REASONS)]
    rest = len(found) - MOST_REASONS
    more = f"and {rest} more {'reason' if rest == 1 else 'reasons'}; the table has them"
    return [*lines, more] if rest > 0 else lines


def _workloads(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["workload"] for row in rows))


def _computed(found: Sweep, key: str, values: Sequence[Value]) -> tuple[Value, ...]:
    """Of a key's values those that some point was computed at: all, unless the sweep was interrupted."""
    known = {row[key] for row in found.rows}
    return tuple(value for value in values if value in known)


def written(value: Value) -> str:
    """A value of a key as its user would write it, to four digits."""
    if isinstance(value, str | bool):
        return str(value) if isinstance(value, str) else str(value).lower()
    return given(float(f"{value:.4g}"))


def _cell(row: dict[str, Any] | None, column: str, *, unit: bool = True) -> str:
    if row is None:
        return UNKNOWN
    if row["outcome"] != "ok":
        return WHY_NONE[row["outcome"]]
    sign = {True: " ✓", False: " ✗", None: ""}[row["budgets_kept"]]
    value = row[column]
    return (quantity(column, value) if unit or unit_of(column) != "ms" else number(value)) + sign


def _table(found: Sweep, column: str) -> None:
    """A row a value: the shown column of every workload, and the busiest device."""
    ((key, values),) = found.axes
    rows = {(row[key], row["workload"]): row for row in found.rows}
    workloads = _workloads(found.rows)
    values = _computed(found, key, values)
    shown = values[:MOST_ROWS]
    say(f"{label(column)} by workload (✓ all its budgets kept)")
    lines = []
    for value in shown:
        own = [rows.get((value, workload)) for workload in workloads]
        first = next((row for row in own if row is not None), None)
        busy = first is not None and first["saturation"] is not None and first["busiest_device"] is not None
        busiest = f"{first['busiest_device']} {given(round(first['saturation'], 2))}" if busy and first else UNKNOWN
        lines.append((written(value), *(_cell(row, column) for row in own), busiest))
    show_table((key, *workloads, "busiest, saturation"), lines)
    if len(values) > len(shown):
        say(f"{len(shown)} of {len(values)} values; -o or --json has all")


def _map(found: Sweep, workload: str, column: str) -> None:
    """The first key downwards, the second to the right."""
    (down, rows), (right, columns) = found.axes
    cells = {(row[down], row[right]): row for row in found.rows if row["workload"] == workload}
    rows, columns = _computed(found, down, rows), _computed(found, right, columns)
    unit = ", ms," if unit_of(column) == "ms" else ""
    say(f"{workload}: {label(column)}{unit} over {right} (to the right)")
    lines = []
    for y in rows:
        own = [cells.get((y, x)) for x in columns]
        numbers = [row[column] if row is not None and row["outcome"] == "ok" else None for row in own]
        lines.append(
            (written(y), [(known, _cell(row, column, unit=False)) for known, row in zip(numbers, own, strict=True)])
        )
    heat_table(down, [written(x) for x in columns], lines)
