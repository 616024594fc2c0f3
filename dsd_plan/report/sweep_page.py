"""A sweep as a page: a heat map a workload over two keys, a line over one; the numbers below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from dsd_plan.domain.sweep import Value
from dsd_plan.report.blocks import Chart, Section
from dsd_plan.report.figures import axis, layout, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import label, multiple, number, quantity
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import IDENTITY, first_screen, trace_page_html
from dsd_plan.units import unit_of

WHY_NONE = {"unstable": "full", "unsteady": "unsteady", "refused": "refused"}
SIGNS = {True: " ✓", False: " ✗", None: ""}


@dataclass(frozen=True, slots=True)
class SweepPage:
    """What a page of a sweep shows: one column of its rows."""

    scenario: str
    axes: tuple[tuple[str, tuple[Value, ...]], ...]
    """One or two keys with their values."""
    rows: tuple[Mapping[str, Any], ...]
    column: str
    sentence: str
    reasons: tuple[str, ...]
    made: str

    @property
    def workloads(self) -> tuple[str, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(row["workload"] for row in self.rows))


def render_sweep(page: SweepPage) -> str:
    """The page as one HTML text, to be opened from disk."""
    sheet = Sheet(IDENTITY)
    kept = {True: "keep their budgets", False: "break a budget", None: "have no budget"}
    counted = [
        (text, sum(r["outcome"] == "ok" and r["budgets_kept"] is sign for r in page.rows))
        for sign, text in kept.items()
    ]
    counted.append(("have no numbers", sum(row["outcome"] != "ok" for row in page.rows)))
    rows: tuple[tuple[Cell, ...], ...] = tuple((text, Number(many, "#")) for text, many in counted if many)
    first = first_screen(
        sheet,
        tag="Sweep",
        made=page.made,
        verdict=page.sentence,
        sentences=page.reasons,
        table=Table("Points, by workload", ("Points that", "How many"), rows, file="summary"),
        picture=None,
        trust=[_trust(page)],
    )
    sections = [_section(page, workload, at) for at, workload in enumerate(page.workloads)]
    return trace_page_html(
        file=page.scenario, heading="Sweep", first=first, sections=sections, sheet=sheet, skip="Skip to the sweep"
    )


def _trust(page: SweepPage) -> tuple[str, str]:
    if any(row["source"] == "replay" for row in page.rows):
        return "Replayed", "event by event, every point on the same luck; intervals are in the table that -o writes"
    return "Predicted", "by the analytic model; sweep --replay plays the points event by event"


def _section(page: SweepPage, workload: str, at: int) -> Section:
    rows = [row for row in page.rows if row["workload"] == workload]
    known = [row for row in rows if row["outcome"] == "ok" and row[page.column] is not None]
    chart = (_line if len(page.axes) == 1 else _heat)(page, workload, rows, at)
    kept = [row for row in known if row["budgets_kept"] is not False]
    so_what = f"{isolated(workload)} keeps its budgets at {len(kept)} of {len(rows)} points."
    if all(row["budgets_kept"] is None for row in known):
        so_what = f"{isolated(workload)} was promised nothing; {len(known)} of {len(rows)} points have numbers."
    return Section(f"workload-{at}", workload, workload, so_what, (chart,))


def _answer(page: SweepPage, rows: Sequence[Mapping[str, Any]]) -> str:
    known = [row for row in rows if row["outcome"] == "ok" and row[page.column] is not None]
    if not known:
        return "No point has numbers."
    least, most = (pick(known, key=lambda row: row[page.column]) for pick in (min, max))
    return (
        f"From {quantity(page.column, least[page.column])} at {_where(page, least)} "
        f"to {quantity(page.column, most[page.column])} at {_where(page, most)}."
    )


def _where(page: SweepPage, row: Mapping[str, Any]) -> str:
    return ", ".join(f"{isolated(key)} = {written(row[key])}" for key, _ in page.axes)


def written(value: Value) -> str:
    """A value of a key."""
    return str(value) if isinstance(value, str | bool) else multiple(float(f"{value:.4g}"))


def _title(page: SweepPage) -> str:
    unit = unit_of(page.column)
    return f"{label(page.column)}{f', {unit}' if unit else ''}"


def _hover(page: SweepPage, row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    keys = "<br>".join(f"{chart_text(key)}: {chart_text(written(row[key]))}" for key, _ in page.axes)
    if row["outcome"] != "ok":
        return f"{keys}<br>{WHY_NONE[row['outcome']]}"
    return f"{keys}<br>{quantity(page.column, row[page.column])}{SIGNS[row['budgets_kept']]}"


def _tile(page: SweepPage, row: Mapping[str, Any] | None, *, short: bool = False) -> str:
    if row is None:
        return ""
    if row["outcome"] != "ok":
        return WHY_NONE[row["outcome"]]
    return f"{number(row[page.column])}{'' if short else SIGNS[row['budgets_kept']]}"


def _grid_axis(key: str, values: Sequence[Value]) -> dict[str, Any]:
    return axis(
        chart_text(key),
        tickvals=list(range(len(values))),
        ticktext=[chart_text(written(value)) for value in values],
        range=[-0.5, len(values) - 0.5],
        showgrid=False,
        ticks="",
    )


def _heat(page: SweepPage, workload: str, rows: Sequence[Mapping[str, Any]], at: int) -> Chart:
    (down, ys), (right, xs) = page.axes
    cells = {(row[down], row[right]): row for row in rows}
    grid = [[cells.get((y, x)) for x in xs] for y in ys]
    return Chart(
        slug=f"map-{at}",
        question=f"What is {label(page.column)} of {isolated(workload)} over {isolated(down)} and {isolated(right)}?",
        answer=_answer(page, rows),
        how_to_read=(
            "Each tile is one point, its text the value with ✓ where the workload keeps all its budgets and ✗ where it "
            "breaks one; its shade goes with the logarithm. Tiles with words have no steady state, or contradict "
            "themselves. Steps along the axes are those of the grid, not of a ruler."
        ),
        data=[
            {
                "type": "heatmap",
                "z": [[_shade(page, row) for row in line] for line in grid],
                "colorscale": [[0, token("wash")], [1, token("tile-fused")]],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "text": [[_tile(page, row) for row in line] for line in grid],
                "meta": {"narrow": [[_tile(page, row, short=True) for row in line] for line in grid]},
                "texttemplate": "%{text}",
                "textfont": {"size": 12, "color": token("ink")},
                "customdata": [[_hover(page, row) for row in line] for line in grid],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=layout(_grid_axis(right, xs), _grid_axis(down, ys)),
        height_px=max(220, 80 + 34 * len(ys)),
        numbers=_numbers(page, rows),
    )


def _shade(page: SweepPage, row: Mapping[str, Any] | None) -> float | None:
    value = None if row is None or row["outcome"] != "ok" else row[page.column]
    return log10(value) if value is not None and value > 0.0 else None


def _line(page: SweepPage, workload: str, rows: Sequence[Mapping[str, Any]], at: int) -> Chart:
    ((key, values),) = page.axes
    by_value = {row[key]: row for row in rows}
    drawn = [by_value.get(value) for value in values]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    x = list(values) if numeric else list(range(len(values)))
    y = [row[page.column] if row is not None and row["outcome"] == "ok" else None for row in drawn]
    return Chart(
        slug=f"line-{at}",
        question=f"How does {label(page.column)} of {isolated(workload)} move with {isolated(key)}?",
        answer=_answer(page, rows),
        how_to_read="Each dot is one point of the sweep; the line breaks where there is no steady state.",
        data=[
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": x,
                "y": y,
                "connectgaps": False,
                "line": {"color": token("pair-0"), "width": 2},
                "marker": {"size": 7, "color": token("pair-0")},
                "customdata": [_hover(page, row) for row in drawn],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=layout(
            axis(chart_text(key)) if numeric else _grid_axis(key, values), axis(_title(page), rangemode="tozero")
        ),
        height_px=320,
        numbers=_numbers(page, rows),
    )


def _numbers(page: SweepPage, rows: Sequence[Mapping[str, Any]]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        value = Number(row[page.column], unit_of(page.column) or "", kept=row["budgets_kept"])
        lines.append((*(written(row[key]) for key, _ in page.axes), value, row["outcome"]))
    columns = (*(key for key, _ in page.axes), label(page.column), "Outcome")
    return Table("The points", columns, tuple(lines), file="sweep")
