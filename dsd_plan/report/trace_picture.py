"""The first screen's picture of a trace, drawn without script: a line or dots with a band, and a line to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsd_plan.report.figures import round_up, ticks
from dsd_plan.report.markup import Html, safe
from dsd_plan.report.numbers import multiple

WIDTH, HEIGHT = 352, 264
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 40, 40
SPAN, RISE, BASE = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
TICK_GAP, LETTER = 26.0, 7.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One line of the picture, or its band alone; `low` and `high` are the band."""

    text: str
    colour: str
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands along the axes; `marks` are places on x with their words."""

    title: str
    x_title: str
    y_title: str
    x: tuple[float, ...]
    marks: tuple[tuple[float, str], ...]
    per_cent: bool = False


def trace_picture(frame: Frame, lines: Sequence[Drawn], identity: str) -> Html:
    """An inline SVG in the page's own colours. y begins at 0, x where the first point lies."""
    most = max(value for line in lines for value in (*line.y, *line.high))
    top = round_up(1.02 * most) if most > 0 else 1.0
    grid = [_grid(frame, top), _key(lines)]
    bands = [_band(frame, line, top) for line in lines if line.low]
    curves = [_line(frame, line, top) for line in lines if line.y]
    return Html(
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{identity}-title">'
        f'<title id="{identity}-title">{safe(frame.title)}</title>{"".join([*bands, *grid, *curves])}</svg>'
    )


def _place(frame: Frame, x: float, y: float, top: float) -> tuple[float, float]:
    first, last = frame.x[0], frame.x[-1]
    return LEFT + SPAN * (x - first) / ((last - first) or 1.0), BASE - RISE * y / top


def _grid(frame: Frame, top: float) -> str:
    parts = []
    for value in ticks(top):
        height = _place(frame, frame.x[0], value, top)[1]
        text = f"{multiple(100 * value)} %" if frame.per_cent else multiple(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + SPAN}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(_text(LEFT - 5, height + 4, text, "end", "tick"))
    drawn = -TICK_GAP
    for at, text in frame.marks:
        place = _place(frame, at, 0.0, top)[0]
        if place - drawn >= TICK_GAP:
            drawn = place
            half = LETTER * len(text) / 2
            parts.append(_text(min(max(place, LEFT - 8 + half), WIDTH - half), BASE + 17, text, "middle", "tick"))
    parts.append(_text(0, 13, frame.y_title, "start", "tick"))
    parts.append(_text(LEFT + SPAN / 2, HEIGHT - 6, frame.x_title, "middle", "tick"))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + SPAN}" y1="{BASE}" y2="{BASE}"/>')
    return "".join(parts)


def _key(lines: Sequence[Drawn]) -> str:
    """The names of the lines, above them, from the right."""
    parts, right = [], float(WIDTH)
    for line in reversed([line for line in lines if line.text]):
        left = right - LETTER * len(line.text)
        dash = "stroke-dasharray:4 3;" if line.dashed else ""
        style = f"stroke:var(--{line.colour});stroke-width:2.25;{dash}"
        parts.append(_text(left, 31, line.text, "start", "halo"))
        parts.append(f'<line style="{style}" x1="{left - 20:.1f}" x2="{left - 5:.1f}" y1="27" y2="27"/>')
        right = left - 32
    return "".join(parts)


def _band(frame: Frame, line: Drawn, top: float) -> str:
    there = [_place(frame, x, y, top) for x, y in zip(frame.x, line.high, strict=True)]
    back = [_place(frame, x, y, top) for x, y in zip(frame.x, line.low, strict=True)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*there, *reversed(back)])
    return f'<polyline style="fill:var(--pair-band)" points="{points}"/>'


def _line(frame: Frame, line: Drawn, top: float) -> str:
    places = [_place(frame, x, y, top) for x, y in zip(frame.x, line.y, strict=True)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = ";stroke-dasharray:5 4" if line.dashed else ""
    drawn = [f'<polyline class="curve" style="stroke:var(--{line.colour});stroke-width:2{dash}" points="{points}"/>']
    if line.dots:
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" style="fill:var(--{line.colour})"/>' for x, y in places]
    return "".join(drawn)


def _text(x: float, y: float, text: str, anchor: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{safe(text)}</text>'
