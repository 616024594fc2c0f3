"""Where the names of curves stand: beside their own line, clear of the others, of the budget and of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]

HEIGHTS = (0.82, 0.9, 0.74, 0.66, 0.58, 0.5, 0.42)
"""Shares of the frame's height that are tried, the best first."""
GAP, TALL, LETTER, STEP = 6.0, 16.0, 6.4, 4.0
"""Pixels: from line to text, a line of text, a letter's usual width, and how finely lines are looked at."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text's place in pixels from the frame's lower left corner; y is the middle of its line."""

    text: str
    x: float
    y: float
    anchor: str
    """"end" where the text stands left of its line, "start" where right."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge."""
        wide = LETTER * len(self.text)
        left = self.x - wide if self.anchor == "end" else self.x
        return left, left + wide, self.y - TALL / 2, self.y + TALL / 2


def place_labels(
    curves: Sequence[tuple[str, Sequence[Point]]],
    frame: Point,
    lines_y: Sequence[float] = (),
    spots: Sequence[Point] = (),
) -> list[Label]:
    """A label for each (text, points in pixels) that lies within `frame` (width, height).

    `lines_y` are level lines to keep clear of, `spots` points. A curve without a point in the frame gets none.
    """
    placed: list[Label] = []
    every = [list(_fine(points)) for _, points in curves]
    for text, points in curves:
        best = min(
            _candidates(text, points, frame),
            key=lambda label: _trouble(label, every, placed, frame, lines_y, spots),
            default=None,
        )
        if best is not None:
            placed.append(best)
    return placed


def _candidates(text: str, points: Sequence[Point], frame: Point) -> Iterator[Label]:
    inside = [(x, y) for x, y in points if 0 <= x <= frame[0] and y <= frame[1]]
    for height in HEIGHTS:
        x = crossing(points, frame[1] * height)
        if x is not None and x <= frame[0]:
            yield Label(text, x - GAP, frame[1] * height, "end")
            yield Label(text, x + GAP, frame[1] * height, "start")
    if inside:
        x, y = inside[-1]
        for lines in (1, -1, 2, 3, 4):  # further up where another flat curve's name stands already
            yield Label(text, x, y + lines * TALL, "end")


def crossing(points: Sequence[Point], y: float) -> float | None:
    """Where a line first rises through `y`, or None."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 < y <= y1:
            return x0 + (x1 - x0) * (y - y0) / (y1 - y0)
    return None


def _fine(points: Sequence[Point]) -> Iterator[Point]:
    for (x0, y0), (x1, y1) in pairwise(points):
        parts = 1 + int(max(abs(x1 - x0), min(abs(y1 - y0), 400.0)) / STEP)
        for at in range(parts):
            yield x0 + (x1 - x0) * at / parts, y0 + (y1 - y0) * at / parts


def _trouble(
    label: Label,
    curves: Sequence[Sequence[Point]],
    placed: Sequence[Label],
    frame: Point,
    lines_y: Sequence[float],
    spots: Sequence[Point],
) -> int:
    left, right, low, high = label.box
    hidden = sum(left - 2 <= x <= right + 2 and low <= y <= high for curve in curves for x, y in curve)
    crowded = sum(left < b and a < right and low < d and c < high for a, b, c, d in (other.box for other in placed))
    struck = sum(low - 1 <= y <= high + 1 for y in lines_y)
    covered = sum(left - GAP <= x <= right + GAP and low - GAP <= y <= high + GAP for x, y in spots)
    outside = left < 0 or right > frame[0] or low < 0
    return hidden + 20 * (crowded + covered) + 4 * struck + 40 * outside
