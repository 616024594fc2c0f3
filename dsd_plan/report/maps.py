"""Section 4: when does it pay? Which mode and window win over a grid of two inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dsd_plan.domain.study import MapCell, ModeMap, Study
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose, Section, by_case
from dsd_plan.report.figures import MODES, axis, layout, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import LABELS, THIN, count, milliseconds, multiple, share_of
from dsd_plan.report.reading import key_first, mode_name
from dsd_plan.report.tables import Cell, Number, Table, quantity_cell
from dsd_plan.units import unit_of

MOST_TOLD = 3
"""Other workloads that a caption places."""
HOW_TO_READ = (
    "Each cell is this fleet with two inputs changed, its devices and all other inputs as planned: nothing is bought "
    "or given up, and prices do not count. Its colour is the mode with the lowest mean TPOT there by the model "
    "(options are compared by replays, where a small lead may turn round), its text the best window γ and by how much "
    "that mode beats the best other one. Cells of one colour touch without a line; the line between colours is where "
    "another mode becomes the fastest. The framed cell is the nearest to this scenario. Dots are the fleet's other "
    "workloads, by their own round trip and acceptance; the cells are of this one. Steps along the axes are those of "
    "the grid, not of a ruler."
)


def maps_section(study: Study) -> Section:
    """A map for each pair of inputs that was explored."""
    drawn = [(at, found) for at, found in enumerate(study.maps) if found.cells]
    cases = tuple(
        (workload, tuple(block for at, found in drawn if found.workload == workload for block in _blocks(found, at)))
        for workload in key_first(study, [found.workload for _, found in drawn])
    )
    blocks: list[Block] = by_case("Workload", cases) or [Prose("The study holds no maps.")]
    left = [w.name for w in study.predicted.workloads if w.name not in {name for name, _ in cases}]
    if cases and left:
        more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
        blocks.append(Prose(f"No map was drawn for {isolated(left[0])}{more}."))
    return Section("maps", "When does it pay?", "When does it pay?", _so_what(study), tuple(blocks))


def _blocks(found: ModeMap, at: int) -> tuple[Chart | Prose | Folded, ...]:
    """A map; where one mode wins all of it, a sentence says so and its numbers are folded away."""
    modes = {c.mode for c in found.cells}
    full = len(found.cells) == len({c.x for c in found.cells}) * len({c.y for c in found.cells})
    if len(modes) > 1 or not full:
        return (_chart(found, at),)
    words = f"{short_name(found.x_name)} and {short_name(found.y_name)}"
    table = Folded(f"Its numbers over {words}", _numbers(found, list(modes)))
    return Prose(_one_mode(found) + _dots_words(found)), table


def _one_mode(found: ModeMap) -> str:
    """Over which inputs its mode wins everywhere, and by how much."""
    ranges = [
        f"{short_name(name)} {input_value(name, min(values))} to {input_value(name, max(values))}"
        for name, values in (
            (found.x_name, [c.x for c in found.cells]),
            (found.y_name, [c.y for c in found.cells]),
        )
    ]
    margins = [c.margin for c in found.cells if c.margin is not None]
    low, high = (share_of(min(margins)), share_of(max(margins))) if margins else ("", "")
    ahead = f", the next best mode's TPOT {low if low == high else f'{low} to {high}'} longer" if margins else ""
    ahead += " where another has a steady state" if margins and len(margins) < len(found.cells) else ""
    mode = mode_name(found.cells[0].mode)
    return (
        f"For {isolated(found.workload)} over {' and '.join(ranges)}, {mode} is the fastest everywhere by the model, "
        f"with devices as planned{ahead}. {map_here(found)}."
    )


def _chart(found: ModeMap, at: int) -> Chart:
    xs, ys = sorted({c.x for c in found.cells}), sorted({c.y for c in found.cells})
    cells = {(c.x, c.y): c for c in found.cells}
    modes = [mode for mode in MODES if any(c.mode == mode for c in found.cells)]
    grid = [[cells.get((x, y)) for x in xs] for y in ys]
    frame = layout(
        _grid_axis(found.x_name, xs),
        _grid_axis(found.y_name, ys),
        shapes=[_boundary(grid), _frame(found, xs, ys)],
    )
    return Chart(
        slug=f"map-{at}",
        question=_question(found),
        answer=map_answer(found) + _dots_words(found),
        how_to_read=HOW_TO_READ,
        data=[_tiles(grid, modes, found), _here(found, xs, ys), *([_dots(found, xs, ys)] if found.dots else [])],
        layout=frame,
        height_px=max(300, 70 + 44 * len(ys)),
        key=(
            *(KeyEntry(f"tile-{mode.replace('_', '-')}", mode_name(mode)) for mode in modes),
            KeyEntry("ink", "you are here", "frame"),
            *((KeyEntry("ink", "the fleet's other workloads", "dot"),) if found.dots else ()),
            *_empty_key(grid),
        ),
        numbers=_numbers(found, modes),
    )


def _empty_key(grid: list[list[MapCell | None]]) -> tuple[KeyEntry, ...]:
    """What an empty cell means, where there is one."""
    empty = any(cell is None for row in grid for cell in row)
    return (KeyEntry("paper", "empty: nothing has a steady state", "frame-thin"),) if empty else ()


def axis_name(name: str) -> str:
    """An input's name with its unit."""
    return LABELS.get(name, isolated(name.replace("_", " ")))


def short_name(name: str) -> str:
    """An input's name inside a sentence."""
    return axis_name(name).split(" (")[0]


def axis_value(name: str, value: float) -> str:
    """A value on an input's axis: prompts are whole tokens."""
    return count(value) if name == "prompt_tokens" else multiple(value)


def input_value(name: str, value: float | None) -> str:
    """A value of an input with its unit: 40 ms, 1.5 ×, 0.72."""
    if unit_of(name) == "ms" or "(ms)" in axis_name(name):
        return f"{multiple(value)}{THIN}ms"
    if name == "prompt_tokens" and value is not None:
        return f"{count(value)} tokens"
    return f"{multiple(value)}{THIN}×" if name in ("load", "step_time") else multiple(value)


def _question(found: ModeMap) -> str:
    return (
        f"Which mode is fastest for {isolated(found.workload)} over {short_name(found.x_name)} and "
        f"{short_name(found.y_name)}, with devices as planned?"
    )


def _grid_axis(name: str, values: list[float]) -> dict[str, Any]:
    return axis(
        chart_text(axis_name(name)),
        tickvals=list(range(len(values))),
        ticktext=[axis_value(name, value) for value in values],
        range=[-0.5, len(values) - 0.5],
        showgrid=False,
        ticks="",
    )


def _tiles(grid: list[list[MapCell | None]], modes: list[str], found: ModeMap) -> dict[str, Any]:
    """A heat map whose values are places in `modes`; its colours are flat."""
    last = max(1, len(modes))
    scale = [
        [part / last, token(f"tile-{mode.replace('_', '-')}")] for at, mode in enumerate(modes) for part in (at, at + 1)
    ]
    return {
        "type": "heatmap",
        "z": [[None if c is None else modes.index(c.mode) for c in row] for row in grid],
        "zmin": -0.5,
        "zmax": last - 0.5,
        "colorscale": scale,
        "showscale": False,
        "text": [["" if c is None else f"{_window(c)}<br>{_margin(c)}" for c in row] for row in grid],
        "meta": {"narrow": [["" if c is None else _window(c, short=True) for c in row] for row in grid]},
        "texttemplate": "%{text}",
        "textfont": {"size": 12, "color": token("ink")},
        "customdata": [["" if c is None else _hover(c, found) for c in row] for row in grid],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _window(cell: MapCell, *, short: bool = False) -> str:
    if cell.mode in ("target_only", "edge_only"):
        return "–"
    return str(cell.window) if short else f"γ {cell.window}"


def _margin(cell: MapCell) -> str:
    """Whole per cents, tenths below ten: a cell has no room for more."""
    if cell.margin is None:
        return "alone"
    return f"+{100 * cell.margin:.{0 if cell.margin >= 0.0995 else 1}f}{THIN}%"


def _hover(cell: MapCell, found: ModeMap) -> str:
    where = (
        f"{chart_text(short_name(found.x_name))} {axis_value(found.x_name, cell.x)}, "
        f"{chart_text(short_name(found.y_name))} {axis_value(found.y_name, cell.y)}"
    )
    times = [
        f"{chart_text(mode_name(mode))} {'no steady state' if ms is None else f'{ms:.3g} ms'}"
        for mode, ms in cell.tpot_ms.items()
    ]
    return "<br>".join([where, *times])


def _boundary(grid: list[list[MapCell | None]]) -> dict[str, Any]:
    """Lines between neighbouring cells of different modes."""
    strokes = []
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            right = cells[column + 1] if column + 1 < len(cells) else cell
            above = grid[row + 1][column] if row + 1 < len(grid) else cell
            if cell and right and cell.mode != right.mode:
                strokes.append(f"M{column + 0.5},{row - 0.5}L{column + 0.5},{row + 0.5}")
            if cell and above and cell.mode != above.mode:
                strokes.append(f"M{column - 0.5},{row + 0.5}L{column + 0.5},{row + 0.5}")
    line = {"color": token("ink"), "width": 2}
    return {"type": "path", "path": "".join(strokes) or "M0,0", "line": line, "layer": "above"}


def _frame(found: ModeMap, xs: list[float], ys: list[float]) -> dict[str, Any]:
    """You are here: a frame inside the nearest cell, so that nothing covers its text."""
    column, row = (round(place(value, grid)) for value, grid in zip(found.here, (xs, ys), strict=True))
    column, row = min(max(column, 0), len(xs) - 1), min(max(row, 0), len(ys) - 1)
    edge = 0.42
    line = {"color": token("ink"), "width": 3}
    corners = {"x0": column - edge, "x1": column + edge, "y0": row - edge, "y1": row + edge}
    return {"type": "rect", **corners, "line": line, "layer": "above"}


def _here(found: ModeMap, xs: list[float], ys: list[float]) -> dict[str, Any]:
    """The exact place, for the pointer alone."""
    x, y = axis_value(found.x_name, found.here[0]), axis_value(found.y_name, found.here[1])
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [place(found.here[0], xs)],
        "y": [place(found.here[1], ys)],
        "marker": {"size": 20, "color": "rgba(0,0,0,0)"},
        "hovertemplate": f"you are here: {x}, {y}<extra></extra>",
    }


def _dots(found: ModeMap, xs: list[float], ys: list[float]) -> dict[str, Any]:
    """The fleet's other workloads, at the upper edge of their cells so that its text stays free."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [place(dot.x, xs) for dot in found.dots],
        "y": [place(dot.y, ys) + 0.38 for dot in found.dots],
        "marker": {"size": 9, "color": token("ink"), "line": {"color": token("paper"), "width": 1.5}},
        "customdata": [f"{chart_text(dot.workload)}: {multiple(dot.x)}, {multiple(dot.y)}" for dot in found.dots],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _dots_words(found: ModeMap) -> str:
    """Where the other workloads lie, in words."""
    if not found.dots:
        return ""
    told = [f"{isolated(dot.workload)} at {input_value(found.x_name, dot.x)}" for dot in found.dots[:MOST_TOLD]]
    more = len(found.dots) - len(told)
    return f" Dots: {', '.join(told)}{f' and {more:,} more' if more else ''}."


def place(value: float, grid: list[float]) -> float:
    """Where a value lies along an axis whose steps are the grid's own: 1.5 is halfway from the second to the third."""
    for at, (low, high) in enumerate(pairwise(grid)):
        if value <= high:
            return at + max(-0.5, (value - low) / (high - low))
    return len(grid) - 1 + (0.5 if grid and value > grid[-1] else 0.0)


def map_answer(found: ModeMap) -> str:
    """The winner where this scenario lies, and where that changes along the horizontal axis."""
    row = row_of_here(found)
    first = map_here(found)
    turns = [
        f"{mode_name(after.mode)} from {input_value(found.x_name, after.x)}"
        for before, after in pairwise(row)
        if before.mode != after.mode
    ]
    words, start = short_name(found.x_name), input_value(found.x_name, row[0].x)
    if not turns:
        return f"{first}; it wins at every {words} drawn, {start} to {input_value(found.x_name, row[-1].x)}."
    return f"{first}; along {words}, {mode_name(row[0].mode)} wins from {start}, then {', '.join(turns)}."


def map_here(found: ModeMap) -> str:
    """The winner where this scenario lies, beside the next best mode on the same devices."""
    here = nearest(row_of_here(found), found.here[0])
    name = mode_name(here.mode) + ("" if here.mode in ("target_only", "edge_only") else f" with window {here.window}")
    first = f"Here {name} is fastest by the model, with devices as planned"
    if here.margin is None:
        return f"{first}: the only one"
    others = {mode: ms for mode, ms in here.tpot_ms.items() if mode != here.mode and ms is not None}
    mine = here.tpot_ms.get(here.mode)
    if not others or mine is None:
        return f"{first}: the next best mode's TPOT is {share_of(here.margin)} longer"
    second = min(others, key=lambda mode: others[mode])
    beside = f"{mode_name(second)} on the same devices {milliseconds(others[second])}"
    return f"{first}: mean TPOT {milliseconds(mine)}, {beside}"


def row_of_here(found: ModeMap) -> list[MapCell]:
    """The cells of the row nearest to where this scenario lies, by x."""
    y = min({c.y for c in found.cells}, key=lambda v: abs(v - found.here[1]))
    return sorted((c for c in found.cells if c.y == y), key=lambda c: c.x)


def nearest(cells: list[MapCell], x: float) -> MapCell:
    """The cell nearest to `x`."""
    return min(cells, key=lambda c: abs(c.x - x))


def _numbers(found: ModeMap, modes: list[str]) -> Table:
    others = list(dict.fromkeys(mode for c in found.cells for mode in c.tpot_ms))
    rows: list[tuple[Cell, ...]] = []
    for c in found.cells:
        window = None if c.mode == "target_only" else c.window
        times = [quantity_cell("tpot_mean_ms", c.tpot_ms.get(mode)) for mode in others]
        rows.append((Number(c.x), Number(c.y), mode_name(c.mode), Number(window, "#"), Number(c.margin, "%"), *times))
    columns = (
        *(axis_name(found.x_name), axis_name(found.y_name), "Best mode", "Window γ", "Margin"),
        *(f"TPOT mean, {mode_name(mode)}" for mode in others),
    )
    return Table("Best mode and window", columns, tuple(rows), file="map")


def _so_what(study: Study) -> str:
    found = next((m for m in study.maps if m.cells), None)
    if found is None:
        return "Where the decision would change was not explored as a map."
    row, words = row_of_here(found), short_name(found.x_name)
    here = nearest(row, found.here[0])
    whose = f"{isolated(found.workload)}, with devices as planned"
    beyond = next((c for c in row if c.x > here.x and c.mode != here.mode), None)
    if beyond is not None:
        value = input_value(found.x_name, beyond.x)
        return f"From {words} {value} on, {mode_name(beyond.mode)} is faster for {whose}."
    before = next((c for c in reversed(row) if c.x < here.x and c.mode != here.mode), None)
    if before is not None:
        value = input_value(found.x_name, before.x)
        return f"At {words} {value} or less, {mode_name(before.mode)} is faster for {whose}."
    return f"No {words} within the range drawn changes which mode is fastest for {whose}."
