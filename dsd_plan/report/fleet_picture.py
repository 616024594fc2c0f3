"""The picture of the fleet, drawn without script: once for a wide window, once for a narrow one."""

from __future__ import annotations

from dsd_plan.domain.study import Study
from dsd_plan.report.figures import mode_token
from dsd_plan.report.fleet import Box, Fleet, Line, Wire, fleet_of
from dsd_plan.report.markup import Html, safe

LINE, PAD, GAP = 19, 12, 18
"""Pixels: a line of text, a box's margin inside, and the room between boxes."""
WIDE, BOX, NARROW = 860, 300, 340
BAR = 128
HELP = (
    "A box is a site: who asks there and how they are served, and which devices run which models. A bar tells how much "
    "of the steps a device can make is used; the fullest is orange. A latency budget may break, or KV memory fill, "
    "before steps are used up, and on another device. Lines are links with their round trip and bandwidth."
)


def fleet_figure(study: Study) -> Html | None:
    """A figure with its question and answer; None where the study names no site."""
    fleet = fleet_of(study)
    if fleet is None:
        return None
    return Html(
        '<figure class="fleet"><figcaption><h3>What runs where, and which device is the fullest?</h3>'
        f"<p>{safe(fleet.answer)}</p></figcaption>{_wide(fleet)}{_narrow(fleet)}"
        f'<div class="under"><details><summary>How to read this</summary><p class="help">{safe(HELP)}</p></details>'
        "</div></figure>"
    )


def _height(box: Box, extra: int = 0) -> int:
    return 2 * PAD + LINE * (1 + len(box.lines) + extra)


def _wide(fleet: Fleet) -> str:
    """Users' sites on the left, the others on the right; all in one column where there is one kind alone."""
    left = [at for at, box in enumerate(fleet.boxes) if box.users]
    right = [at for at, box in enumerate(fleet.boxes) if not box.users]
    tall = max(_column_height(fleet, left), _column_height(fleet, right))
    places: dict[int, tuple[float, float]] = {}
    for column, x in ((left, 1.0), (right, WIDE - BOX - 1.0)):
        y = 1 + (tall - _column_height(fleet, column)) / 2
        for at in column:
            places[at] = (x, y)
            y += _height(fleet.boxes[at]) + GAP
    wires = "".join(_wire(fleet, wire, places) for wire in fleet.wires)
    boxes = "".join(_box(fleet.boxes[at], *places[at], BOX) for at in places)
    labels = "".join(_wire_label(fleet, wire, places) for wire in fleet.wires)
    return _svg("wide", WIDE, tall + 2, fleet, wires + boxes + labels)


def _column_height(fleet: Fleet, column: list[int]) -> int:
    return sum(_height(fleet.boxes[at]) for at in column) + GAP * max(0, len(column) - 1)


def _narrow(fleet: Fleet) -> str:
    """One box below the other; links are told in words in the box from which they lead."""
    y, parts = 1.0, []
    for at, box in enumerate(fleet.boxes):
        told = tuple(
            Line(f"to {_name(fleet, wire, at)}: {wire.text}", "muted") for wire in fleet.wires if wire.ends[0] == at
        )
        whole = Box(box.title, box.sites, box.users, (*box.lines, *told))
        parts.append(_box(whole, 1, y, NARROW - 2))
        y += _height(whole) + GAP
    return _svg("narrow", NARROW, round(y - GAP + 1), fleet, "".join(parts))


def _name(fleet: Fleet, wire: Wire, at: int) -> str:
    return fleet.boxes[wire.ends[1] if wire.ends[0] == at else wire.ends[0]].title


def _svg(style: str, width: int, height: int, fleet: Fleet, inside: str) -> str:
    told = "; ".join(f"{box.title}: {', '.join(line.text for line in box.lines)}" for box in fleet.boxes)
    return (
        f'<svg class="picture {style}" viewBox="0 0 {width} {height}" role="img" aria-label="{safe(told)}">'
        f"{inside}</svg>"
    )


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{safe(text)}</text>'


def _box(box: Box, x: float, y: float, width: float) -> str:
    shapes = [
        f'<rect class="site" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_height(box)}" rx="4"/>',
        _text(x + PAD, y + PAD + 11, box.title, "strong"),
    ]
    for at, line in enumerate(box.lines, 1):
        base = y + PAD + 11 + at * LINE
        shapes.append(_line(line, x + PAD, base))
    return "".join(shapes)


def _line(line: Line, x: float, base: float) -> str:
    if line.kind == "mode":
        dot = f'<circle cx="{x + 5:.1f}" cy="{base - 4.5:.1f}" r="5" style="fill:var(--{mode_token(line.mode)})"/>'
        return dot + _text(x + 15, base, line.text)
    if line.kind == "bar" and line.full is not None:
        long = BAR * min(1.0, max(0.0, line.full))
        colour = "full" if line.fullest else "bar"
        note = f"{line.text}, the fullest" if line.fullest else line.text
        return (
            f'<rect class="rail" x="{x:.1f}" y="{base - 10:.1f}" width="{BAR}" height="10"/>'
            f'<rect x="{x:.1f}" y="{base - 10:.1f}" width="{long:.1f}" height="10" style="fill:var(--{colour})"/>'
            f"{_text(x + BAR + 8, base, note, 'tick')}"
        )
    return _text(x, base, line.text, "tick" if line.kind == "muted" else "")


def _ends(fleet: Fleet, wire: Wire, places: dict[int, tuple[float, float]]) -> tuple[float, float, float, float]:
    """Where a link's line begins and ends: at the sides that face the middle."""
    (x0, y0), (x1, y1) = (places[at] for at in wire.ends)
    h0, h1 = (_height(fleet.boxes[at]) for at in wire.ends)
    begin = x0 + BOX if x0 < WIDE / 2 - BOX / 2 else x0
    end = x1 + BOX if x1 < WIDE / 2 - BOX / 2 else x1
    return begin, y0 + h0 / 2, end, y1 + h1 / 2


def _wire(fleet: Fleet, wire: Wire, places: dict[int, tuple[float, float]]) -> str:
    x0, y0, x1, y1 = _ends(fleet, wire, places)
    middle = WIDE / 2 if x0 != x1 else x0 + (60 if x0 < WIDE / 2 else -60)
    style = "link full" if wire.busiest else "link"
    curve = f"M{x0:.1f},{y0:.1f}C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
    return f'<path class="{style}" d="{curve}"/>'


def _wire_label(fleet: Fleet, wire: Wire, places: dict[int, tuple[float, float]]) -> str:
    """At the end whose box has fewer links, where lines are apart; on the side that the line turns away from."""
    x0, y0, x1, y1 = _ends(fleet, wire, places)
    many = [sum(end in other.ends for other in fleet.wires) for end in wire.ends]
    x, y, other = (x0, y0, y1) if many[0] <= many[1] else (x1, y1, y0)
    anchor, x = ("start", x + 10) if x < WIDE / 2 else ("end", x - 10)
    above, below = (16, 32) if other < y - 1.0 else (-6, 16) if other < y + 1.0 or not wire.more else (-22, -6)
    more = _text(x, y + below, wire.more, "halo tick", anchor) if wire.more else ""
    return _text(x, y + above, wire.text, "halo", anchor) + more
