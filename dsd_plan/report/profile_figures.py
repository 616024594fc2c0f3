"""Figures of a profile: step times, what verifying and context cost, how fast prompts are read, and the errors."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Any

from dsd_plan.domain.profile import Origin
from dsd_plan.domain.profile_view import PrefillRow, ProfileView, StepCell, StepRow, StepTable
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.markup import MARKS
from dsd_plan.report.numbers import milliseconds, number
from dsd_plan.report.profile_words import NOT_VERIFIED, shown_cost, verify_sentence
from dsd_plan.report.tables import Cell, Number, Table

COLOURS = ("pair-0", "pair-1", "pair-2", "mode-distributed")
"""Of lines, in the order of what they stand for."""
BEYOND = KeyEntry("muted", "beyond what was measured, by the law", "dash")
MARKERS = "Filled dots were measured, with their 95 % interval as a bar; hollow ones the surface or the law tells. "


def chosen(length: int) -> tuple[int, ...]:
    """Positions of at most four of so many lines: the first, the last, and two between."""
    most = len(COLOURS)
    if length <= most:
        return tuple(range(length))
    return tuple(at * (length - 1) // (most - 1) for at in range(most))


def line(
    name: str, colour: str, x: Sequence[float], told: Sequence[tuple[float, float | None, float | None, Origin]]
) -> list[dict[str, Any]]:
    """A line of (value, low, high, origin), dashed where it is extrapolated."""
    solid = [value if origin != "extrapolated" else None for value, *_, origin in told]
    drawn = [_trace(name, colour, x, told, solid, "solid")]
    if None in solid:
        # The dashes go all the way, and the solid line hides them where it knows better.
        drawn.insert(0, _trace(name, colour, x, told, [value for value, *_ in told], "dash"))
    return drawn


def _trace(
    name: str,
    colour: str,
    x: Sequence[float],
    told: Sequence[tuple[float, float | None, float | None, Origin]],
    y: Sequence[float | None],
    dash: str,
) -> dict[str, Any]:
    fills = [token(colour if origin == "measured" else "paper") for *_, origin in told]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(x),
        "y": list(y),
        "connectgaps": False,
        "customdata": [f"{name}<br>{origin}" for *_, origin in told],
        "line": {"color": token(colour), "width": 2, "dash": dash},
        "marker": {"size": 7, "color": fills, "line": {"color": token(colour), "width": 1.5}},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [0 if high is None else high - value for value, _, high, _ in told],
            "arrayminus": [0 if low is None else value - low for value, low, _, _ in told],
            "color": token(colour),
            "thickness": 1,
            "width": 3,
        },
        "hovertemplate": "%{customdata}<br>%{x}: %{y:.4g}<extra></extra>",
    }


def log_axis(title: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis with a mark at each of `values`, thinned to what has room."""
    shown = sorted(set(values))
    kept = [shown[0]]
    for value in shown[1:]:
        if value >= 1.5 * kept[-1]:
            kept.append(value)
    return axis(
        f"{title} (log scale)", type="log", tickvals=kept, ticktext=[f"{value:,.10g}" for value in kept], **more
    )


def ones_twos_fives(values: Sequence[float]) -> list[float]:
    """Marks 1, 2, 5 times powers of ten over the range of `values`; powers alone over more than three decades."""
    low, high = min(values), max(values)
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def times_axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis of times where they span enough for its marks; else a plain one from zero."""
    marks = ones_twos_fives(values)
    return axis(title, rangemode="tozero") if len(marks) < 2 else log_axis(title, marks)


def steps_chart(table: StepTable) -> Chart:
    """Step time against batch, a line for some of the new tokens."""
    picked = chosen(len(table.new_tokens))
    rows = [*table.rows, table.beyond]
    data: list[dict[str, Any]] = []
    for at, colour in zip(picked, COLOURS, strict=False):
        new = table.new_tokens[at]
        cells = [row.cells[at] for row in rows]
        told = [(c.ms, c.low, c.high, c.origin) for c in cells]
        data += line(f"{new} new", colour, [row.batch for row in rows], told)
    first, last = table.rows[0], table.rows[-1]
    answer = f"A plain step takes {milliseconds(first.cells[0].ms)} at batch {first.batch}"
    if last is not first:
        answer += f" and {milliseconds(last.cells[0].ms)} at batch {last.batch}"
    key = [_key(at, f"{table.new_tokens[i]} new token{'s' * (table.new_tokens[i] > 1)}") for at, i in enumerate(picked)]
    return Chart(
        slug=f"steps-{table.context_tokens}",
        question=f"How does a step grow with the batch, over {table.context_tokens:,} tokens of context?",
        answer=f"{answer}; {number(last.tokens_per_s)} tokens a second in the largest batch.",
        how_to_read=(
            f"{MARKERS}Axes are logarithmic where they say so: on a level line a larger batch is free; where time "
            "doubles with the batch, nothing is gained. Dashed is what the law says of a batch twice the largest."
        ),
        data=data,
        layout=layout(
            log_axis("batch, sequences", [row.batch for row in rows]),
            times_axis("step, ms", [cell.ms for row in rows for cell in row.cells]),
        ),
        height_px=340,
        key=(*key, BEYOND),
    )


def _key(at: int, text: str) -> KeyEntry:
    return KeyEntry(COLOURS[at], text, "line")


def heat_chart(table: StepTable) -> Chart:
    """Every step time over one context as a tile."""
    slowest = max(cell.ms for row in table.rows for cell in row.cells)
    quickest = min(cell.ms for row in table.rows for cell in row.cells)
    return Chart(
        slug=f"tiles-{table.context_tokens}",
        question=f"How long is a step over {table.context_tokens:,} tokens of context?",
        answer=f"From {milliseconds(quickest)} to {milliseconds(slowest)}.",
        how_to_read=(
            "Each tile is one kind of step: a batch of sequences, each with so many new tokens. Its text is the median "
            "in ms, its shade goes with the logarithm. Steps along the axes are those of the grid, not of a ruler. "
            f"{MARKS['interpolated']} and {MARKS['extrapolated']} mark tiles that were not measured."
        ),
        data=[
            {
                "type": "heatmap",
                "z": [[log10(cell.ms) for cell in row.cells] for row in table.rows],
                "colorscale": [[0, token("wash")], [1, token("tile-fused")]],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "text": [[_tile(cell) for cell in row.cells] for row in table.rows],
                "meta": {"narrow": [[_tile(cell, short=True) for cell in row.cells] for row in table.rows]},
                "texttemplate": "%{text}",
                "textfont": {"size": 12, "color": token("ink")},
                "customdata": [[_hover(row, cell) for cell in row.cells] for row in table.rows],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=layout(
            _grid_axis("new tokens a sequence", table.new_tokens),
            _grid_axis("batch", [row.batch for row in table.rows]),
        ),
        height_px=max(220, 80 + 34 * len(table.rows)),
    )


def _tile(cell: StepCell, *, short: bool = False) -> str:
    text = f"{cell.ms:.{0 if cell.ms >= 9.95 else 1 if cell.ms >= 0.995 else 2}f}" if short else number(cell.ms)
    return text + ("" if cell.origin == "measured" else MARKS[cell.origin])


def _hover(row: StepRow, cell: StepCell) -> str:
    ends = "" if cell.low is None or cell.high is None else f" ({number(cell.low)}–{number(cell.high)})"
    return f"batch {row.batch}, {cell.new_tokens} new<br>{number(cell.ms)}{ends} ms, {cell.origin}"


def _grid_axis(title: str, values: Sequence[int]) -> dict[str, Any]:
    return axis(
        title,
        tickvals=list(range(len(values))),
        ticktext=[f"{value:,}" for value in values],
        range=[-0.5, len(values) - 0.5],
        showgrid=False,
        ticks="",
    )


def verify_chart(table: StepTable) -> Chart:
    """A step of several new tokens over a plain one, by how many they are."""
    news = table.new_tokens[1:]
    picked = chosen(len(table.rows))
    data: list[dict[str, Any]] = []
    for colour, at in zip(COLOURS, picked, strict=False):
        row = table.rows[at]
        told = [(c.ms, c.low, c.high, c.origin) for c in row.verify_cost]
        start: tuple[float, float | None, float | None, Origin] = (1.0, None, None, row.cells[0].origin)
        data += line(f"batch {row.batch}", colour, [1, *news], [start, *told])
    top = 1.05 * max([*(cell.high or cell.ms for row in table.rows for cell in row.verify_cost), 2.0])
    end = min(float(news[-1]), top)
    return Chart(
        slug=f"verify-{table.context_tokens}",
        question=f"What does verifying more tokens cost, over {table.context_tokens:,} tokens of context?",
        answer=verify_sentence(table) or NOT_VERIFIED,
        how_to_read=(
            f"{MARKERS}A step that verifies a window γ has γ + 1 new tokens; its time is shown in plain steps of the "
            "same batch. On the dashed line every token costs a whole step, so that speculation cannot gain; a level "
            "line would verify for nothing. To pay, a round must yield more tokens than the line is high."
        ),
        data=data,
        layout=layout(
            axis("new tokens a sequence", tickvals=[1, *news], range=[0.7, news[-1] + 0.3]),
            axis("plain steps", range=[0, top]),
            shapes=[straight(1, 1, end, end, "dash", layer="above")],
            annotations=[note("as many steps as tokens", end, end, xanchor="right", yanchor="top", xshift=-24)],
        ),
        height_px=340,
        key=tuple(_key(at, f"batch {table.rows[i].batch}") for at, i in enumerate(picked)),
        numbers=_costs(table),
    )


def _costs(table: StepTable) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (Number(row.batch, "#"), *(Number(cell.ms, origin=cell.origin) for cell in row.verify_cost))
        for row in table.rows
    ]
    title = f"Plain steps that a verify step takes, {table.context_tokens:,} tokens of context"
    return Table(title, ("Batch", *(f"{new} tokens" for new in table.new_tokens[1:])), tuple(rows), file="verify")


def prefill_chart(rows: Sequence[PrefillRow]) -> Chart:
    """Prompt tokens a second against the prompt's length, a line a batch."""
    batches = list(dict.fromkeys(row.batch for row in rows))
    picked = [batches[at] for at in chosen(len(batches))]
    data: list[dict[str, Any]] = []
    for colour, batch in zip(COLOURS, picked, strict=False):
        own = [row for row in rows if row.batch == batch]
        data += line(f"batch {batch}", colour, [row.prompt_tokens for row in own], [_speed(row) for row in own])
    known = [row for row in rows if row.origin != "extrapolated"]
    best = max(known, key=lambda row: row.tokens_per_s)
    longest = max((row for row in known if row.batch == batches[0]), key=lambda row: row.prompt_tokens)
    table: list[tuple[Cell, ...]] = [
        (
            Number(row.batch, "#"),
            Number(row.prompt_tokens, "#"),
            Number(row.ms, "ms", row.origin),
            Number(row.tokens_per_s, origin=row.origin),
        )
        for row in rows
    ]
    return Chart(
        slug="prefill",
        question="How many prompt tokens are read in a second?",
        answer=(
            f"At most {number(best.tokens_per_s)}, with {best.batch} prompt{'s' * (best.batch > 1)} of "
            f"{best.prompt_tokens:,} tokens; one of {longest.prompt_tokens:,} takes {milliseconds(longest.ms)}."
            if longest.batch == 1
            else f"At most {number(best.tokens_per_s)}, with {best.batch} prompts of {best.prompt_tokens:,} tokens."
        ),
        how_to_read=(
            f"{MARKERS}Each line is one number of prompts read in the same step. A rising line means that longer "
            "prompts use the device better; a falling one that attention over the prompt begins to cost."
        ),
        data=data,
        layout=layout(
            log_axis("prompt, tokens", [row.prompt_tokens for row in rows]),
            axis("tokens a second", rangemode="tozero", tickformat=","),
        ),
        height_px=320,
        key=(*(_key(at, f"batch {batch}") for at, batch in enumerate(picked)), BEYOND),
        numbers=Table(
            "Reading prompts", ("Batch", "Prompt tokens", "Step", "Tokens a second"), tuple(table), file="prefill"
        ),
    )


def _speed(row: PrefillRow) -> tuple[float, float | None, float | None, Origin]:
    scale = row.tokens_per_s * row.ms
    low = None if row.high is None else scale / row.high
    high = None if row.low is None else scale / row.low
    return row.tokens_per_s, low, high, row.origin


def context_chart(view: ProfileView) -> Chart:
    """A plain step over the same at the smallest context, a line for some of the batches."""
    picked = chosen(len(view.context))
    data: list[dict[str, Any]] = []
    for colour, at in zip(COLOURS, picked, strict=False):
        row = view.context[at]
        told = [(c.ratio, c.low, c.high, c.origin) for c in row.cells]
        data += line(f"batch {row.batch}", colour, [c.context_tokens for c in row.cells], told)
    first, last = view.context[0], view.context[-1]
    end = first.cells[-1]
    answer = (
        f"From {first.cells[0].context_tokens:,} to {end.context_tokens:,} tokens of context a plain step gets "
        f"{number(end.ratio)} times as long at batch {first.batch}"
    )
    if last is not first:
        answer += f", {number(last.cells[-1].ratio)} times at batch {last.batch}"
    return Chart(
        slug="context-cost",
        question="How does a plain step grow with its context?",
        answer=f"{answer}.",
        how_to_read=f"{MARKERS}Each line is one batch; 1 is its step at the smallest context that was measured.",
        data=data,
        layout=layout(
            axis("context, tokens", **_few_marks([cell.context_tokens for cell in first.cells])),
            axis("times the smallest context's", rangemode="tozero"),
        ),
        height_px=300,
        key=tuple(_key(at, f"batch {view.context[i].batch}") for at, i in enumerate(picked)),
    )


def _few_marks(values: Sequence[int]) -> dict[str, Any]:
    """Marks at the values themselves where there are few of them."""
    return {"tickvals": list(values), "ticktext": [f"{value:,}" for value in values]} if len(values) < 6 else {}


def summary_table(table: StepTable) -> Table:
    """What each batch gives: a plain step, tokens a second, and a verify step."""
    shown = shown_cost(table.rows[0])
    picked = [table.rows[at] for at in _thinned(len(table.rows))]
    rows: list[tuple[Cell, ...]] = []
    for row in picked:
        plain, verify = row.cells[0], shown_cost(row)
        cells: list[Cell] = [
            Number(row.batch, "#"),
            Number(plain.ms, "ms", plain.origin),
            Number(row.tokens_per_s, origin=plain.origin),
        ]
        if shown is not None:
            cells.append("" if verify is None else Number(verify.ms, origin=verify.origin))
        rows.append(tuple(cells))
    verifying = () if shown is None else (f"Verify {shown.new_tokens}, in plain steps",)
    columns = ("Batch", "Plain step", "Tokens a second", *verifying)
    return Table(f"Over {table.context_tokens:,} tokens of context", columns, tuple(rows), file="summary")


def _thinned(length: int) -> tuple[int, ...]:
    most = 7
    if length <= most:
        return tuple(range(length))
    return tuple(at * (length - 1) // (most - 1) for at in range(most))
