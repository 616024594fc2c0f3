"""Where words stand in a chart: beside their own line, inside the frame, clear of lines, of the budget and each other.

All places are in pixels from the frame's lower left corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, right, lower and upper edge."""

GAP, TALL, LETTER, STEP = 6.0, 16.0, 6.6, 6.0
"""Pixels: from line to text, a line of text, a letter's usual width, and how finely lines are looked at."""
HIGHEST = 600.0
"""Above every frame: up to here lines are followed."""
ALONG, FURTHER = 24, (0.0, 10.0, 22.0)
"""Places along a line at which its name is tried, and how many pixels further away, where it is crowded."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text's place; y is the middle of its line."""

    text: str
    x: float
    y: float
    anchor: str
    """"end" where the text stands left of `x`, "start" where right."""

    @property
    def box(self) -> Box:
        """Left, right, lower and upper edge."""
        wide = LETTER * len(self.text)
        left = self.x - wide if self.anchor == "end" else self.x
        return left, left + wide, self.y - TALL / 2, self.y + TALL / 2


@dataclass(slots=True)
class Ground:
    """What a chart's words keep clear of; a word that is placed is added to what is taken."""

    size: Point
    """Width and height of the frame."""
    curves: list[list[Point]] = field(default_factory=list)
    """Lines as points that lie close together."""
    levels: list[float] = field(default_factory=list)
    """Heights of level lines."""
    uprights: list[float] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)

    def place(self, candidates: Iterable[Label], own: int | None = None) -> Label | None:
        """The candidate with the least trouble, of equals the first; None where there is none."""
        ranked = ((self._trouble(label, own) + 0.05 * at, at, label) for at, label in enumerate(candidates))
        found = min(ranked, key=lambda one: one[:2], default=None)
        if found is None:
            return None
        self.taken.append(found[2].box)
        return found[2]

    def _trouble(self, label: Label, own: int | None) -> float:
        left, right, low, high = label.box
        wide, tall = self.size
        outside = left < 0 or right > wide or low < 0 or high > tall
        crowded = sum(left < b + 3 and a - 3 < right and low < d and c < high for a, b, c, d in self.taken)
        struck = sum(low - 1 <= y <= high + 1 for y in self.levels) + sum(
            left - 2 <= x <= right + 2 for x in self.uprights
        )
        stacked = sum(left < b and a < right and low < d + 12 and c < high + 12 for a, b, c, d in self.taken)
        trouble = 400.0 * outside + 80.0 * crowded + 6.0 * stacked + 25.0 * struck
        near = [_nearest(label.box, curve) for curve in self.curves]
        trouble += sum(40.0 for away in near if away < 3.0)
        if own is not None:
            # A name that is nearer to another line is taken for that line's.
            others = [away for at, away in enumerate(near) if at != own]
            trouble += 0.2 * near[own] + sum(max(0.0, near[own] + 8.0 - away) for away in others)
        return trouble


def place_labels(curves: Sequence[tuple[str, Sequence[Point]]], ground: Ground) -> list[Label]:
    """A name for each (text, points) that is seen inside the frame, and that the ground's `curves` do not yet hold."""
    first = len(ground.curves)
    ground.curves += [list(fine(points)) for _, points in curves]
    placed = []
    for at, (text, _) in enumerate(curves, first):
        label = ground.place(_names(text, ground.curves[at], ground.size), at)
        if label is not None:
            placed.append(label)
    return placed


def _names(text: str, points: Sequence[Point], frame: Point) -> Iterator[Label]:
    """Beside, above and below the line, the places near its end first."""
    inside = [(x, y) for x, y in points if 0 <= x <= frame[0] and 0 <= y <= frame[1]]
    half = LETTER * len(text) / 2
    for x, y in inside[:: -max(1, len(inside) // ALONG)]:
        for more in FURTHER:
            aside, above = GAP + more, TALL / 2 + 4 + more
            yield Label(text, x - aside, y, "end")
            yield Label(text, x - 2, y + above, "end")
            yield Label(text, x + aside, y, "start")
            yield Label(text, x - half, y + above, "start")
            yield Label(text, x + 2, y - above, "start")
            yield Label(text, x - half, y - above, "start")


def beside_upright(text: str, x: float, height: float) -> Iterator[Label]:
    """Places for the name of an upright line: at its top, then further down, on both sides."""
    for down in range(int(height / TALL)):
        y = height - TALL / 2 - 3 - TALL * down
        yield Label(text, x - 4, y, "end")
        yield Label(text, x + 4, y, "start")


def beside_level(text: str, y: float, width: float) -> Iterator[Label]:
    """Places for the name of a level line: above it from the left, then below it."""
    for place in (TALL / 2 + 1, -TALL / 2 - 1):
        for part in range(6):
            yield Label(text, GAP + (width - 2 * GAP - LETTER * len(text)) * part / 5, y + place, "start")


def beside_dot(text: str, x: float, y: float) -> Iterator[Label]:
    """Places for what is said of a dot: below it to the right, then around it."""
    for down in (16.0, -16.0, 30.0, -30.0):
        yield Label(text, x + 9, y - down, "start")
        yield Label(text, x - 9, y - down, "end")


def fine(points: Sequence[Point]) -> Iterator[Point]:
    """Points on the line through `points`, `STEP` pixels apart."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 < HIGHEST < y1:
            x1, y1 = x0 + (x1 - x0) * (HIGHEST - y0) / (y1 - y0), HIGHEST
        elif y1 < HIGHEST < y0:
            x0, y0 = x1 + (x0 - x1) * (HIGHEST - y1) / (y0 - y1), HIGHEST
        parts = 1 if min(y0, y1) >= HIGHEST else 1 + int(max(abs(x1 - x0), abs(y1 - y0)) / STEP)
        for at in range(parts):
            yield x0 + (x1 - x0) * at / parts, y0 + (y1 - y0) * at / parts
    yield from points[-1:]


def _nearest(box: Box, points: Sequence[Point]) -> float:
    """Pixels from a box to the nearest point; 0 inside it."""
    left, right, low, high = box
    return min((max(left - x, x - right, low - y, y - high, 0.0) for x, y in points), default=1e9)
