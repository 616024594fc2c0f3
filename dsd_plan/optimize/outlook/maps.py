"""Which mode and window win over round trip and acceptance, over round trip and load, and over prompt lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import exp, log

from dsd_plan.domain.scenario import Mode
from dsd_plan.domain.study import MapCell, MapDot, ModeMap
from dsd_plan.optimize.outlook.ground import (
    ACCEPTANCE_RANGE,
    BOTH_WAYS,
    RTT_RANGE_MS,
    UPWARD,
    Condition,
    Ground,
    Standing,
    Turns,
)

GRIDS = ((13, 9), (9, 7), (7, 5))
"""Columns and rows where one, two or three workloads have maps, which together take about as long as one;
further workloads get none."""
PROMPT_FACTORS, PROMPT_COLUMNS = (0.25, 0.5, 1.0, 2.0, 4.0), 7
"""Prompt lengths that a map looks at, as multiples of today's, and its round trips."""
MOST_DOTS = 200
"""Other workloads that a map shows."""


def mode_maps(grounds: Sequence[Ground]) -> tuple[ModeMap, ...]:
    """Two maps for each of the first workloads with a route, a draft and more than one mode, a third for the first."""
    return tuple(drawn() for drawn in maps_to_draw(grounds))


def maps_to_draw(grounds: Sequence[Ground]) -> tuple[Callable[[], ModeMap], ...]:
    """The maps of `mode_maps`, none of which waits for another."""
    mapped = [g for g in grounds if g.rtt_ms is not None and g.acceptance is not None and len(g.contenders) > 1]
    dots = tuple(MapDot(workload=g.workload, x=g.rtt_ms, y=g.acceptance) for g in mapped if g.rtt_ms and g.acceptance)
    mapped = mapped[: len(GRIDS)]
    if not mapped:
        return ()
    columns, rows = GRIDS[len(mapped) - 1]
    found: list[Callable[[], ModeMap]] = []
    for ground in mapped:
        found += [partial(drawn, ground, columns, rows, dots) for drawn in (_over_acceptance, _over_load)]
    # Prompts are looked at for the first workload alone, so that all maps still take about as long as before.
    return (*found, partial(_over_prompts, mapped[0], min(columns, PROMPT_COLUMNS)))


def _over_prompts(ground: Ground, columns: int) -> ModeMap:
    assert ground.rtt_ms is not None
    rtts = through(ground.rtt_ms, spaced_by_ratio(*RTT_RANGE_MS, columns))
    tokens = tuple(float(round(ground.prompt_tokens * factor)) for factor in PROMPT_FACTORS if factor != 1.0)
    lengths = tuple(sorted({*tokens, ground.prompt_tokens}))
    return ModeMap(
        workload=ground.workload,
        title="mode and window over RTT and prompt length",
        x_name="rtt_ms",
        y_name="prompt_tokens",
        here=(ground.rtt_ms, ground.prompt_tokens),
        cells=_cells(ground, rtts, lengths, lambda x, y: Condition(rtt_ms=x, prompts=y / ground.prompt_tokens)),
    )


def _over_acceptance(ground: Ground, columns: int, rows: int, every: tuple[MapDot, ...]) -> ModeMap:
    assert ground.rtt_ms is not None
    assert ground.acceptance is not None
    rtts = through(ground.rtt_ms, spaced_by_ratio(*RTT_RANGE_MS, columns))
    acceptances = through(ground.acceptance, spaced_evenly(*ACCEPTANCE_RANGE, rows))
    return ModeMap(
        workload=ground.workload,
        title="mode and window over RTT and acceptance of the first proposal",
        x_name="rtt_ms",
        y_name="acceptance",
        here=(ground.rtt_ms, ground.acceptance),
        cells=_cells(ground, rtts, acceptances, lambda x, y: Condition(rtt_ms=x, acceptance=y)),
        dots=_others(ground, every),
    )


def _over_load(ground: Ground, columns: int, rows: int, every: tuple[MapDot, ...]) -> ModeMap:
    assert ground.rtt_ms is not None
    rtts = through(ground.rtt_ms, spaced_by_ratio(*RTT_RANGE_MS, columns))
    loads = through(1.0, spaced_evenly(*ground.load_range, rows))
    return ModeMap(
        workload=ground.workload,
        title="mode and window over RTT and load",
        x_name="rtt_ms",
        y_name="load",
        here=(ground.rtt_ms, 1.0),
        cells=_cells(ground, rtts, loads, lambda x, y: Condition(rtt_ms=x, load=y)),
        dots=tuple(replace(dot, y=1.0) for dot in _others(ground, every)),
    )


def _others(ground: Ground, every: tuple[MapDot, ...]) -> tuple[MapDot, ...]:
    return tuple(dot for dot in every if dot.workload != ground.workload)[:MOST_DOTS]


def _cells(
    ground: Ground, xs: Sequence[float], ys: Sequence[float], at: Callable[[float, float], Condition]
) -> tuple[MapCell, ...]:
    cells = []
    first: dict[Mode, int] = dict(ground.near)
    for y in ys:
        near, directions = first, BOTH_WAYS
        turns: Turns = {}
        for x in xs:
            # Along a row the way gets longer, and a longer way never asks for a shorter window.
            found = ground.standings(at(x, y), near, directions, turns)
            near, directions = {standing.mode: standing.window for standing in found}, UPWARD
            if x == xs[0]:
                first = near
            if found[0].tpot_ms is not None:
                cells.append(_cell(x, y, found))
    return tuple(cells)


def _cell(x: float, y: float, found: tuple[Standing, ...]) -> MapCell:
    best = found[0]
    rival = found[1].tpot_ms if len(found) > 1 else None
    return MapCell(
        x=x,
        y=y,
        mode=best.mode,
        window=best.window,
        margin=rival / best.tpot_ms - 1.0 if rival is not None and best.tpot_ms else None,
        tpot_ms={standing.mode: standing.tpot_ms for standing in found},
    )


def through(here: float, values: tuple[float, ...]) -> tuple[float, ...]:
    """`values` with the nearest moved to `here`, so that a map has a cell for the scenario as it is."""
    nearest = min(range(len(values)), key=lambda index: abs(values[index] - here))
    return (*values[:nearest], here, *values[nearest + 1 :])


def spaced_by_ratio(low: float, high: float, count: int) -> tuple[float, ...]:
    """`count` values from `low` to `high`, each the same factor above the last."""
    step = log(high / low) / (count - 1)
    return tuple(float(f"{low * exp(step * index):.4g}") for index in range(count))


def spaced_evenly(low: float, high: float, count: int) -> tuple[float, ...]:
    """`count` values from `low` to `high`, each as far above the last."""
    return tuple(float(f"{low + (high - low) * index / (count - 1):.4g}") for index in range(count))
