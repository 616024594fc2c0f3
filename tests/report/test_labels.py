"""Names of curves stand clear of lines and of each other."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.report.labels import Ground, Label, Point, beside_dot, beside_upright, fine, place_labels

FRAME = (800.0, 280.0)


def rising(knee: float, start: float) -> list[Point]:
    """A latency that grows without bound at `knee`."""
    xs = [knee * at / 40 for at in range(40)]
    return [(x, start / (1 - x / knee)) for x in xs]


def overlap(one: Label, two: Label) -> bool:
    (a, b, c, d), (e, f, g, h) = one.box, two.box
    return a < f and e < b and c < h and g < d


def named(*curves: tuple[str, list[Point]], levels: tuple[float, ...] = ()) -> list[Label]:
    return place_labels(list(curves), Ground(FRAME, levels=list(levels)))


def inside(label: Label, frame: Point = FRAME) -> bool:
    left, right, low, high = label.box
    return left >= 0 and right <= frame[0] and low >= 0 and high <= frame[1]


def test_a_flat_curve_is_named_at_its_end() -> None:
    (label,) = named(("flat", [(0.0, 50.0), (800.0, 50.0)]))
    assert label.anchor == "end"
    assert 700.0 < label.x <= 800.0
    assert 8.0 < abs(label.y - 50.0) <= 16.0


def test_a_curve_outside_the_frame_has_no_name() -> None:
    assert named(("gone", [(0.0, 900.0), (800.0, 950.0)])) == []


def test_a_curve_that_leaves_the_frame_is_named_inside_it() -> None:
    (label,) = named(("steep", [(0.0, 20.0), (780.0, 60.0), (790.0, 1e5)]))
    assert inside(label)


@given(st.lists(st.floats(min_value=150, max_value=780), min_size=2, max_size=3), st.floats(min_value=20, max_value=90))
def test_names_do_not_cover_each_other_and_stay_inside(knees: list[float], start: float) -> None:
    spread = [knee + 160 * at for at, knee in enumerate(sorted(knees))]
    labels = named(*((f"curve {at}", rising(knee, start)) for at, knee in enumerate(spread)))
    assert not any(overlap(one, two) for at, one in enumerate(labels) for two in labels[:at])
    assert all(inside(label) for label in labels)


def test_a_name_is_nearer_to_its_own_line() -> None:
    lower, upper = named(("lower", [(0.0, 50.0), (800.0, 50.0)]), ("upper", [(0.0, 90.0), (800.0, 90.0)]))
    assert abs(lower.y - 50.0) < abs(lower.y - 90.0)
    assert abs(upper.y - 90.0) < abs(upper.y - 50.0)


def test_a_name_keeps_clear_of_the_budget_when_it_can() -> None:
    free = named(("curve", rising(600.0, 60.0)))[0]
    (label,) = named(("curve", rising(600.0, 60.0)), levels=(free.y,))
    assert abs(label.y - free.y) > 8.0


def test_a_knee_at_the_right_edge_is_named_on_its_left_below_what_is_taken() -> None:
    ground = Ground(FRAME, taken=[(700.0, 800.0, 255.0, 280.0)])
    label = ground.place(beside_upright("knee 2×", 790.0, FRAME[1]))
    assert label is not None
    assert inside(label)
    assert label.anchor == "end"
    assert label.box[3] <= 255.0


def test_a_dot_at_the_right_edge_is_named_on_its_left() -> None:
    label = Ground(FRAME).place(beside_dot("today 51.5 ms", 760.0, 100.0))
    assert label is not None
    assert inside(label)
    assert label.anchor == "end"


def test_a_steep_line_has_no_gaps() -> None:
    points = [y for _, y in fine([(0.0, 0.0), (10.0, 1e6)]) if y < 300.0]
    assert max(b - a for a, b in pairwise(points)) <= 6.0 + 1e-9
