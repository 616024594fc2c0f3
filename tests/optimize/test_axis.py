"""Where something changes on the way of an input is found as close as is looked, whatever the curve."""

from __future__ import annotations

from math import inf, sin

import pytest

from dsd_plan.optimize.outlook.axis import RESOLUTION, Bracket, crossing

WHOLE = Bracket(0.0, 1.0)


@pytest.mark.parametrize("place", [0.003, 0.4, 0.987])
@pytest.mark.parametrize(
    "shape",
    [
        lambda d: d,
        lambda d: d**3,
        lambda d: -1.0 if d < 0.0 else 1.0,
        lambda d: d if d < 0.0 else inf,
        lambda d: d * 1e6 if d > 0.0 else d * 1e-6,
        lambda d: sin(3.0 * d),
    ],
)
def test_a_crossing_lies_between_two_places_no_farther_apart_than_is_looked(place: float, shape: object) -> None:
    asked: list[float] = []

    def of(at: float) -> float:
        asked.append(at)
        return shape(at - place)  # type: ignore[operator,no-any-return]

    found = crossing(of, WHOLE)
    assert found is not None
    assert found.before <= place <= found.behind
    assert found.behind - found.before <= RESOLUTION * 1.001
    # Halving alone takes nine, and a straight line that gains little gives way to it.
    assert len(asked) <= 2 + 2 * 9


def test_a_straight_line_is_met_at_once() -> None:
    asked: list[float] = []

    def of(at: float) -> float:
        asked.append(at)
        return 2.0 * at - 0.7

    found = crossing(of, WHOLE)
    assert found is not None
    assert found.before <= 0.35 <= found.behind
    assert len(asked) <= 4


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (-2.0, -1.0), (1.0, -1.0), (-1.0, 0.0)])
def test_without_a_crossing_upwards_nothing_is_found(low: float, high: float) -> None:
    assert crossing(lambda at: low + (high - low) * at, WHOLE) is None
