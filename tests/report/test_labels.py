"""Names of curves stand clear of lines and of each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.report.labels import Label, Point, crossing, place_labels

FRAME = (800.0, 280.0)


def rising(knee: float, start: float) -> list[Point]:
    """A latency that grows without bound at `knee`."""
    xs = [knee * at / 40 for at in range(40)]
    return [(x, start / (1 - x / knee)) for x in xs]


def overlap(one: Label, two: Label) -> bool:
    (a, b, c, d), (e, f, g, h) = one.box, two.box
    return a < f and e < b and c < h and g < d


def test_a_line_is_crossed_where_it_rises_through_a_height() -> None:
    assert crossing([(0.0, 0.0), (10.0, 20.0)], 10.0) == 5.0
    assert crossing([(0.0, 0.0), (10.0, 20.0)], 30.0) is None


def test_a_flat_curve_is_named_at_its_end() -> None:
    (label,) = place_labels([("flat", [(0.0, 50.0), (800.0, 50.0)])], FRAME)
    assert label.anchor == "end"
    assert abs(label.y - 50.0) <= 16.0


def test_a_curve_outside_the_frame_has_no_name() -> None:
    assert place_labels([("gone", [(0.0, 900.0), (800.0, 950.0)])], FRAME) == []


@given(st.lists(st.floats(min_value=150, max_value=780), min_size=2, max_size=3), st.floats(min_value=20, max_value=90))
def test_names_do_not_cover_each_other(knees: list[float], start: float) -> None:
    spread = [knee + 160 * at for at, knee in enumerate(sorted(knees))]
    labels = place_labels([(f"curve {at}", rising(knee, start)) for at, knee in enumerate(spread)], FRAME)
    assert not any(overlap(one, two) for at, one in enumerate(labels) for two in labels[:at])


def test_a_name_keeps_clear_of_the_budget_when_it_can() -> None:
    (label,) = place_labels([("curve", rising(600.0, 60.0))], FRAME, lines_y=(0.82 * 280,))
    assert abs(label.y - 0.82 * 280) > 8.0
