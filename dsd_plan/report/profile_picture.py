"""The first screen's picture of a profile, drawn without script: what verifying more tokens costs, by batch."""

from __future__ import annotations

from dsd_plan.domain.profile_view import StepRow, StepTable
from dsd_plan.report.figures import round_up, ticks
from dsd_plan.report.markup import Html, safe
from dsd_plan.report.numbers import multiple

WIDTH, HEIGHT = 352, 264
LEFT, RIGHT, TOP, BOTTOM = 34, 72, 22, 40
SPAN, RISE, BASE = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
COLOURS = ("pair-0", "pair-1", "pair-2")
LABEL_GAP, TICK_GAP = 15.0, 18.0


def verify_picture(table: StepTable, identity: str) -> Html | None:
    """An inline SVG in the page's own colours; None where only plain steps are known."""
    if len(table.new_tokens) < 2:
        return None
    rows = list(dict.fromkeys((table.rows[0], table.rows[len(table.rows) // 2], table.rows[-1])))
    news = (1, *table.new_tokens[1:])
    top = round_up(1.02 * max(2.0, *(cell.ms for row in rows for cell in row.verify_cost)))
    places = [
        [_at(1, 1.0, news[-1], top), *(_at(cell.new_tokens, cell.ms, news[-1], top) for cell in row.verify_cost)]
        for row in rows
    ]
    lines = [_line(row, colour, at) for row, colour, at in zip(rows, COLOURS, places, strict=False)]
    ends = sorted(((at[-1][1], row.batch) for row, at in zip(rows, places, strict=True)))
    heights = _apart([height for height, _ in ends])
    names = [
        _text(LEFT + SPAN + 8, at + 4, f"batch {batch}", "start", "halo")
        for at, (_, batch) in zip(heights, ends, strict=True)
    ]
    title = "Time of a step against new tokens a sequence, in plain steps"
    return Html(
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{identity}-title">'
        f'<title id="{identity}-title">{title}</title>{_grid(news, top)}{_even(news[-1], top)}'
        f"{''.join(lines)}{''.join(names)}</svg>"
    )


def _at(new: float, steps: float, most: int, top: float) -> tuple[float, float]:
    return LEFT + SPAN * (new - 1) / (most - 1), BASE - RISE * steps / top


def _grid(news: tuple[int, ...], top: float) -> str:
    parts = []
    for value in ticks(top):
        height = _at(1, value, news[-1], top)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + SPAN}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(_text(LEFT - 6, height + 4, multiple(value), "end", "tick"))
    drawn = -TICK_GAP
    for new in news:
        place = _at(new, 0.0, news[-1], top)[0]
        if place - drawn >= TICK_GAP:
            drawn = place
            parts.append(_text(place, BASE + 17, str(new), "middle", "tick"))
    parts.append(_text(0, 13, "plain steps", "start", "tick"))
    parts.append(_text(LEFT + SPAN / 2, HEIGHT - 8, "new tokens a sequence", "middle", "tick"))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + SPAN}" y1="{BASE}" y2="{BASE}"/>')
    return "".join(parts)


def _even(most: int, top: float) -> str:
    """Where every token costs a whole step."""
    end = min(float(most), top)
    (x1, y1), (x2, y2) = _at(1, 1.0, most, top), _at(end, end, most, top)
    return (
        f'<line class="budget" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        f"{_text(x2 - 16, y2 + 8, 'a step a token', 'end', 'halo')}"
    )


def _line(row: StepRow, colour: str, places: list[tuple[float, float]]) -> str:
    points = " ".join(f"{at:.1f},{height:.1f}" for at, height in places)
    drawn = [f'<polyline class="curve" style="stroke:var(--{colour});stroke-width:2.25" points="{points}"/>']
    for cell, (at, height) in zip(row.verify_cost, places[1:], strict=True):
        fill = colour if cell.origin == "measured" else "paper"
        drawn.append(
            f'<circle cx="{at:.1f}" cy="{height:.1f}" r="3.5" '
            f'style="fill:var(--{fill});stroke:var(--{colour});stroke-width:1.5"/>'
        )
    return "".join(drawn)


def _apart(places: list[float]) -> list[float]:
    """Heights of labels, downwards, none nearer to the one above than a line of text."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + LABEL_GAP) if moved else place)
    return moved


def _text(x: float, y: float, text: str, anchor: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{safe(text)}</text>'
