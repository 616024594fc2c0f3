"""Section 3: is it enough? Latency against load, in every mode, with budget and knee."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import LoadCurve, Study
from dsd_plan.report.blocks import Block, Chart, Prose, Section, by_case
from dsd_plan.report.decision import load_answer
from dsd_plan.report.devices import device_chart
from dsd_plan.report.figures import axis, layout, mode_key, mode_token, note, round_up, straight, token
from dsd_plan.report.headroom import breaks_first, headroom_blocks
from dsd_plan.report.keypicture import curve_name
from dsd_plan.report.labels import Ground, Label, Point, beside_level, beside_upright, fine, place_labels
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import given_quantity, label, multiple, several, share, share_of
from dsd_plan.report.reading import (
    CURVE_METRICS,
    KeyMetric,
    base_load,
    base_name,
    base_when,
    best_known,
    chosen_curve,
    curves_of,
    fullest_device,
    holds_between,
    key_first,
    key_metric,
    latency,
    latency_interval,
    limit_of,
    mode_name,
    value_at,
    workload_of,
)
from dsd_plan.report.resilience import resilience_blocks
from dsd_plan.report.steady_end import SteadyEnd, end_of
from dsd_plan.report.tables import Cell, Number, Table, quantity_cell

HOW_TO_READ = (
    "Each line is one way to serve this workload, as the model predicts it; the thick one is the plan. The further "
    "right, the more requests: 1 is today's load. A line ends where saturation reaches 1, because beyond that there is "
    "no average to draw. The dashed line is the budget. The dot is the replay at {load}, with its 95 % interval."
)

PLOT_PX = (790.0, 284.0)
"""The size of a chart's inside in a wide window."""
ANCHORS = {"start": "left", "end": "right"}


def capacity_section(study: Study) -> Section:
    """Charts for TPOT and TTFT, one workload at a time."""
    cases: list[tuple[str, tuple[Chart, ...]]] = []
    drawn = 0
    for workload in key_first(study, [curve.workload for curve in study.curves]):
        charts: list[Chart] = []
        for metric in ("tpot_p95_ms", "ttft_p95_ms"):
            if limit_of(study, workload, metric) is None and limit_of(study, workload, "tpot_mean_ms"):
                metric = metric.replace("tpot_p95", "tpot_mean")
            key = KeyMetric(workload, metric, limit_of(study, workload, metric))
            curves = [c for c in curves_of(study, workload) if any(value_at(p, metric) is not None for p in c.points)]
            if curves:
                charts.append(_chart(study, key, curves, drawn + len(charts)))
        if charts:
            cases.append((workload, tuple(charts)))
            drawn += len(charts)
    blocks: list[Block] = by_case("Workload", tuple(cases)) or [Prose("The study holds no load curves.")]
    left = len(study.predicted.workloads) - len(cases)
    if cases and left > 0:
        blocks.append(Prose(f"Load was drawn for {several(len(cases), 'workload')}, not for {left:,} more."))
    if study.predicted.devices:
        blocks.append(device_chart(study))
    blocks += headroom_blocks(study.capacity)
    blocks += resilience_blocks(study)
    return Section("load", "Is it enough?", "Is it enough?", what_breaks_first(study), tuple(blocks))


def _chart(study: Study, key: KeyMetric, curves: list[LoadCurve], at: int) -> Chart:
    chosen = chosen_curve(study, key.workload)
    seen = workload_of(best_known(study), key.workload)
    today = latency(seen, key.metric)
    ends = latency_interval(seen, key.metric)
    top = _top(key, curves, today)
    load_end = max(point.load for curve in curves for point in curve.points)
    data = [_trace(curve, key, curve is chosen) for curve in reversed(curves)]
    if today is not None:
        broken = key.limit is not None and today > key.limit
        data.append(_today(study, today, None if ends is None else (ends.low, ends.high), broken, chosen))
    end = end_of(chosen) if chosen else None
    frame = layout(
        axis("load, multiples of today's", range=[0, load_end]),
        axis(f"{label(key.metric)}, ms", range=[0, top]),
        shapes=[],
        annotations=_words(curves, key, None if today is None else (study.planned_load, today), end, top, load_end),
    )
    if key.limit is not None:
        frame["shapes"].append(straight(0, key.limit, load_end, key.limit, "dash"))
    if end is not None:
        line = {"color": token("muted"), "width": 1, "dash": "dot"}
        frame["shapes"].append(straight(end.load, 0, end.load, top, line=line))
    return Chart(
        slug=f"load-{at}",
        question=f"How does {label(key.metric)} of {isolated(key.workload)} grow with load?",
        answer=load_answer(study, key),
        how_to_read=HOW_TO_READ.format(load=base_load(study)),
        data=data,
        layout=frame,
        height_px=340,
        key=mode_key([curve.mode for curve in curves]),
        numbers=_numbers(curves, key),
    )


def _top(key: KeyMetric, curves: list[LoadCurve], today: float | None) -> float:
    lowest = [v for curve in curves for p in curve.points if (v := value_at(p, key.metric)) is not None]
    wanted = max(2.2 * (today or 0.0), 1.5 * key.limit if key.limit else 0.0, 1.5 * min(lowest))
    return min(round_up(wanted), round_up(max(lowest) * 1.05)) if max(lowest) > (key.limit or 0) else round_up(wanted)


def _named(curve: LoadCurve) -> str:
    """Its mode; of split traffic with the share that is served so."""
    return f"{share_of(curve.share)} {mode_name(curve.mode)}" if curve.share < 1 else mode_name(curve.mode)


def _trace(curve: LoadCurve, key: KeyMetric, chosen: bool) -> dict[str, Any]:
    points = sorted(curve.points, key=lambda p: p.load)
    window = f", γ = {curve.window}" if curve.mode != "target_only" else ""
    name = _named(curve)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [p.load for p in points],
        "y": [value_at(p, key.metric) for p in points],
        "customdata": [p.saturation for p in points],
        "connectgaps": False,
        "line": {"color": token(mode_token(curve.mode)), "width": 3.5 if chosen else 2},
        "hovertemplate": f"{name}{window}<br>%{{x:.3g}} × today's load<br>"
        "%{y:.3g} ms, saturation %{customdata:.2f}<extra></extra>",
    }


def _today(
    study: Study, value: float, ends: tuple[float, float] | None, broken: bool, chosen: LoadCurve | None
) -> dict[str, Any]:
    colour = token("broken") if broken else token(mode_token(chosen.mode) if chosen else "ink")
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [study.planned_load],
        "y": [value],
        "marker": {"size": 11, "color": colour, "line": {"color": token("paper"), "width": 1.5}},
        "hovertemplate": f"{base_name(study)}, replayed: %{{y:.3g}} ms<extra></extra>",
    }
    if ends is not None:
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [ends[1] - value],
            "arrayminus": [value - ends[0]],
            "color": token("ink"),
            "thickness": 1.5,
            "width": 5,
        }
    return trace


def _words(
    curves: list[LoadCurve], key: KeyMetric, dot: Point | None, end: SteadyEnd | None, top: float, load_end: float
) -> list[dict[str, Any]]:
    """Names beside the lines, placed for a wide window; in a narrow one those of curves are left to the key."""
    across, up = PLOT_PX[0] / load_end, PLOT_PX[1] / top
    lines = []
    for curve in curves:
        points = sorted(curve.points, key=lambda p: p.load)
        values = [(p.load, v) for p in points if (v := value_at(p, key.metric)) is not None]
        lines.append((_name(curve, curves), [(load * across, v * up) for load, v in values]))
    level = None if key.limit is None else key.limit * up
    upright = None if end is None or end.load > load_end else end.load * across
    clear = Ground(
        PLOT_PX,
        [list(fine(points)) for _, points in lines],
        [] if level is None else [level],
        [] if upright is None else [upright],
    )
    if dot is not None:
        x, y = dot[0] * across, dot[1] * up
        clear.taken.append((x - 8, x + 8, y - 8, y + 8))
    placed: list[tuple[Label | None, dict[str, str]]] = []
    if level is not None:
        text = f"budget {given_quantity(key.metric, key.limit)}"
        placed.append((clear.place(beside_level(text, level, PLOT_PX[0])), {}))
    if end is not None and upright is not None:
        placed.append((clear.place(beside_upright(end.words, upright, PLOT_PX[1])), {}))
    ground = Ground(PLOT_PX, [], clear.levels, clear.uprights, clear.taken)
    placed += [(found, {"name": "wide"}) for found in place_labels(lines, ground)]
    return [
        note(found.text, found.x / across, found.y / up, xanchor=ANCHORS[found.anchor], yanchor="middle", **more)
        for found, more in placed
        if found is not None
    ]


def _name(curve: LoadCurve, curves: list[LoadCurve]) -> str:
    """The plan's own curve, which is the first, is called so where another has its mode and window."""
    alike = [other for other in curves if curve_name(other) == curve_name(curve)]
    return f"plan: {curve_name(curve)}" if curve is curves[0] and len(alike) > 1 else curve_name(curve)


def _numbers(curves: list[LoadCurve], key: KeyMetric) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for curve in curves:
        for point in curve.points:
            window = curve.window if curve.mode != "target_only" else None
            value = quantity_cell(key.metric, value_at(point, key.metric))
            rows.append(
                (
                    _named(curve),
                    Number(window, "#"),
                    Number(point.load, "×", given=True),
                    Number(point.saturation),
                    value,
                )
            )
    columns = ("Mode", "Window γ", "Load", "Saturation", label(key.metric))
    return Table(f"{label(key.metric)} against load", columns, tuple(rows), file=f"load-{key.metric}")


def what_breaks_first(study: Study) -> str:
    """Which budget breaks first as load grows, at which load, and which device fills first."""
    device = fullest_device(best_known(study))
    first = ""
    if device is not None and device.saturation is not None:
        used = share(device.saturation)
        first = f" {isolated(device.name)} has the fewest steps to spare: {used} are used {base_when(study)}."
    if study.capacity is not None:
        hour = " Today's load is that of the day's busiest hour." if study.capacity.of_busiest_hour else ""
        return f"{breaks_first(study.capacity)}{hour}{first}"
    found = first_broken(study)
    if found is not None:
        key, kept, broken = found
        what = f"{label(key.metric)} of {isolated(key.workload)}"
        limit = given_quantity(key.metric, key.limit)
        if kept is None or kept < study.planned_load:
            return f"{what} breaks its budget of {limit} at {base_load(study)} already.{first}"
        return (
            f"With the plan as it is, {what} keeps its budget of {limit} up to {multiple(kept)} × today's load and is "
            f"the first to break, at {multiple(broken)} ×.{first}"
        )
    drawn = [point.load for curve in study.curves for point in curve.points]
    if not drawn:
        return f"How far load may grow was not drawn.{first}"
    main = key_metric(study)
    if main is None or main.limit is None:
        curve = chosen_curve(study, main.workload) if main else None
        end = end_of(curve) if curve else None
        grows = f": {end.sentence}" if end else ""
        return f"No latency budget limits growth{grows}.{first}"
    most = multiple(max(drawn))
    return (
        f"With the plan as it is, every latency budget holds up to {most} × today's load, the most that was drawn."
        f"{first}"
    )


def first_broken(study: Study) -> tuple[KeyMetric, float | None, float] | None:
    """The budget broken at the least load on the plan's own curves: (it, last load kept, load broken at)."""
    found = []
    for workload in dict.fromkeys(curve.workload for curve in study.curves):
        curve = chosen_curve(study, workload)
        for metric in CURVE_METRICS if curve else ():
            limit = limit_of(study, workload, metric)
            if curve is None or limit is None:
                continue
            kept, broken = holds_between(curve, metric, limit)
            if broken is not None:
                found.append((KeyMetric(workload, metric, limit), kept, broken))
    return min(found, key=lambda one: (one[2], one[1] or 0.0), default=None)
