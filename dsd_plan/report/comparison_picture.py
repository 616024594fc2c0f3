"""The first screen's picture of a comparison, drawn without script: changes with their intervals, beside no change."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.comparison import NumberChange
from dsd_plan.report.comparison_words import number_name
from dsd_plan.report.figures import round_up
from dsd_plan.report.markup import Html, safe, short
from dsd_plan.report.numbers import MINUS, multiple

WIDTH, LEFT, RIGHT = 352, 10, 10
ROW, TOP, BOTTOM = 32, 8, 40
SPAN = WIDTH - LEFT - RIGHT
LONGEST = 44
FARTHEST = 400.0
"""Per cent; a change or an end beyond it is drawn at the edge."""


def changes_picture(rows: Sequence[NumberChange], identity: str) -> Html | None:
    """An inline SVG of the rows that have an interval of their ratio; None where no row has."""
    drawn = [(row, row.ratio) for row in rows if row.ratio is not None]
    if not drawn:
        return None
    reach = max(max(abs(100 * end - 100) for end in (ratio.low, ratio.high, ratio.point)) for _, ratio in drawn)
    side = min(round_up(max(reach, 1e-6)), FARTHEST)
    height = TOP + ROW * len(drawn) + BOTTOM
    base = height - BOTTOM
    parts = [f'<line class="axis" x1="{_x(0, side):.1f}" x2="{_x(0, side):.1f}" y1="{TOP}" y2="{base}"/>']
    for value in (-side, -side / 2, 0.0, side / 2, side):
        sign = "+" if value > 0 else MINUS if value < 0 else ""
        anchor = "start" if value == -side else "end" if value == side else "middle"
        parts.append(_text(_x(value, side), base + 17, f"{sign}{multiple(abs(value))} %", anchor, "tick"))
    parts.append(_text(LEFT + SPAN / 2, height - 6, "change from the first to the second, 95 %", "middle", "tick"))
    for at, (row, ratio) in enumerate(drawn):
        y = TOP + ROW * at + 22
        sure = row.finding == "significant"
        colour = "pair-0" if sure else "bar"
        low, high, point = (_x(100 * end - 100, side) for end in (ratio.low, ratio.high, ratio.point))
        parts.append(_text(LEFT, y - 9, short(number_name(row), LONGEST), "start", "tick"))
        parts.append(
            f'<line style="stroke:var(--{colour});stroke-width:2" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
        )
        fill = f"var(--{colour})" if sure else "var(--paper)"
        parts.append(
            f'<circle cx="{point:.1f}" cy="{y}" r="4" style="fill:{fill};stroke:var(--{colour});stroke-width:1.5"/>'
        )
    title = "Changes with their 95 % intervals: filled dots are significant, hollow ones are not"
    return Html(
        f'<svg class="picture" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{identity}-title">'
        f'<title id="{identity}-title">{safe(title)}</title>{"".join(parts)}</svg>'
    )


def _x(per_cent: float, side: float) -> float:
    return LEFT + SPAN * (max(-side, min(side, per_cent)) + side) / (2 * side)


def _text(x: float, y: float, text: str, anchor: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{safe(text)}</text>'
