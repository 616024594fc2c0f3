"""The first screen's picture, drawn without script: latency against load, with budget, knee and today marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from dsd_plan.domain.study import LoadCurve, Study
from dsd_plan.report.figures import mode_token, round_up, ticks
from dsd_plan.report.labels import Ground, Label, beside_dot, beside_level, beside_upright, fine, place_labels
from dsd_plan.report.markup import Html, safe
from dsd_plan.report.numbers import given_quantity, label, milliseconds, multiple, share_of
from dsd_plan.report.reading import (
    KeyMetric,
    base_name,
    best_known,
    chosen_curve,
    curves_of,
    latency,
    latency_interval,
    mode_name,
    value_at,
    workload_of,
)
from dsd_plan.report.steady_end import SteadyEnd, end_of

WIDTH, HEIGHT = 352, 264
"""Its width is that of its column, so that its text has the page's small size."""
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 22, 40
LOAD_STEPS = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """Where loads and milliseconds lie in the picture; `seconds` labels the axis in s."""

    load_end: float
    top_ms: float
    base: float = 1.0
    """Multiple of today's load at which the dot stands."""
    name: str = "today"
    """What its label calls it."""

    @property
    def seconds(self) -> bool:
        """Whether the axis is labelled in seconds."""
        return self.top_ms >= 2000

    def x(self, load: float) -> float:
        """Horizontal place of a load."""
        return LEFT + (WIDTH - LEFT - RIGHT) * load / self.load_end

    def y(self, ms: float) -> float:
        """Vertical place of a latency."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ms / self.top_ms


def key_picture(study: Study, key: KeyMetric, identity: str) -> Html | None:
    """An inline SVG in the page's own colours; None where the study holds no curve of the key workload."""
    curve = chosen_curve(study, key.workload)
    if curve is None or all(value_at(point, key.metric) is None for point in curve.points):
        return None
    rival = rival_of(study, curve)
    seen = workload_of(best_known(study), key.workload)
    today = latency(seen, key.metric)
    end = end_of(curve)
    frame = replace(_frame(curve, key, today, end), base=study.planned_load, name=base_name(study))
    clip = f"{identity}-clip"
    parts = [_grid(frame, key.metric)]
    if end is not None and end.load <= frame.load_end:
        at = frame.x(end.load)
        parts.append(f'<line class="knee" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{frame.y(0):.1f}"/>')
    if rival is not None:
        parts.append(_line(frame, rival, key.metric, clip, 1.75))
    parts.append(_line(frame, curve, key.metric, clip, 3.0))
    if key.limit is not None:
        at = frame.y(key.limit)
        parts.append(f'<line class="budget" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
    shown = today if today is not None and today <= frame.top_ms else None
    parts += _words(frame, [c for c in (curve, rival) if c is not None], key, shown, end)
    if shown is not None:
        ends = latency_interval(seen, key.metric)
        broken = key.limit is not None and shown > key.limit
        parts.append(_today(frame, shown, None if ends is None else (ends.low, ends.high), broken, curve.mode))
    title = f"{label(key.metric)} against load"
    return Html(
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{identity}-title">'
        f'<title id="{identity}-title">{safe(title)}</title>'
        f'<clipPath id="{clip}"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>{"".join(parts)}</svg>'
    )


def rival_of(study: Study, curve: LoadCurve) -> LoadCurve | None:
    """Plain decoding; where that is the choice, the first other way."""
    others = [c for c in curves_of(study, curve.workload) if c.mode != curve.mode]
    return next((c for c in others if c.mode == "target_only"), next(iter(others), None))


def _frame(curve: LoadCurve, key: KeyMetric, today: float | None, end: SteadyEnd | None) -> Frame:
    values = [v for point in curve.points if (v := value_at(point, key.metric)) is not None]
    drawn = [point.load for point in curve.points]
    load_end = max(1.25, min(max(drawn), (end.load if end else inf) * 1.12))
    wanted = max(1.7 * (today or min(values)), 1.4 * min(values), 1.35 * key.limit if key.limit else 0.0)
    return Frame(load_end, round_up(wanted))


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{safe(text)}</text>'


def _grid(frame: Frame, metric: str) -> str:
    base = frame.y(0)
    shapes = []
    for value in ticks(frame.top_ms):
        at = frame.y(value)
        shown = multiple(value / 1000 if frame.seconds else value)
        shapes.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        shapes.append(_text(LEFT - 6, at + 4, shown, "end", "tick"))
    shapes += [_text(frame.x(load), base + 17, multiple(load), "middle", "tick") for load in _loads(frame.load_end)]
    shapes.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>')
    shapes.append(_text(0, 13, f"{label(metric)}, {'s' if frame.seconds else 'ms'}", "start", "tick"))
    shapes.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "load, × today's", "middle", "tick"))
    return "".join(shapes)


def _loads(end: float) -> list[float]:
    """The axis need not end on a mark."""
    step = next(s for s in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 100.0, end) if end / s <= LOAD_STEPS + 1)
    return [step * at for at in range(int(end / step + 1e-9) + 1)]


def _line(frame: Frame, curve: LoadCurve, metric: str, clip: str, width: float) -> str:
    runs: list[list[str]] = [[]]
    for point in sorted(curve.points, key=lambda p: p.load):
        value = value_at(point, metric)
        if value is None:
            runs.append([])
        else:
            # Far above the frame a line only has to leave it.
            runs[-1].append(f"{frame.x(point.load):.1f},{frame.y(min(value, 4 * frame.top_ms)):.1f}")
    return "".join(
        f'<polyline class="curve" clip-path="url(#{clip})" style="stroke:var(--{mode_token(curve.mode)});'
        f'stroke-width:{width}" points="{" ".join(run)}"/>'
        for run in runs
        if len(run) > 1
    )


def _words(
    frame: Frame, curves: list[LoadCurve], key: KeyMetric, today: float | None, end: SteadyEnd | None
) -> list[str]:
    """Names of dot, budget, end and curves, in this order: who comes first has the choice."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    lines = []
    for curve in curves:
        points = sorted(curve.points, key=lambda p: p.load)
        values = [(p.load, v) for p in points if (v := value_at(p, key.metric)) is not None]
        lines.append((curve_name(curve), [(frame.x(load) - LEFT, frame.y(0) - frame.y(v)) for load, v in values]))
    ground = Ground((wide, tall))
    upright = frame.x(end.load) - LEFT if end is not None and end.load <= frame.load_end else None
    ground.uprights += [] if upright is None else [upright]
    level = None if key.limit is None else frame.y(0) - frame.y(key.limit)
    ground.levels += [] if level is None else [level]
    clear = Ground(ground.size, [list(fine(points)) for _, points in lines], ground.levels, ground.uprights)
    placed: list[tuple[Label | None, str]] = []
    if today is not None:
        x, y = frame.x(frame.base) - LEFT, frame.y(0) - frame.y(today)
        clear.taken.append((x - 6, x + 6, y - 6, y + 6))
        placed.append((clear.place(beside_dot(f"{frame.name} {milliseconds(today)}", x, y)), "halo strong"))
    if level is not None:
        text = f"budget {given_quantity('ms', key.limit)}"
        placed.append((clear.place(beside_level(text, level, wide)), "halo"))
    if end is not None and upright is not None:
        placed.append((clear.place(beside_upright(end.words, upright, tall)), "halo"))
    ground.taken += clear.taken
    placed += [(found, "halo") for found in place_labels(lines, ground)]
    return [
        _text(LEFT + found.x, frame.y(0) - found.y + 4, found.text, found.anchor, style)
        for found, style in placed
        if found is not None
    ]


def curve_name(curve: LoadCurve) -> str:
    """A curve's mode and window; of split traffic with the share that is served so."""
    part = f"{share_of(curve.share)} " if curve.share < 1 else ""
    return part + mode_name(curve.mode) + (f" γ{curve.window}" if curve.mode != "target_only" else "")


def _today(frame: Frame, value: float, ends: tuple[float, float] | None, broken: bool, mode: str) -> str:
    x, y = frame.x(frame.base), frame.y(value)
    colour = "broken" if broken else mode_token(mode)
    bar = ""
    if ends is not None:
        low, high = frame.y(ends[0]), frame.y(min(ends[1], frame.top_ms))
        bar = f'<line class="interval" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    return (
        f'<line class="today" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{frame.y(0):.1f}"/>{bar}'
        f'<circle class="here" cx="{x:.1f}" cy="{y:.1f}" r="5.5" style="fill:var(--{colour})"/>'
    )
