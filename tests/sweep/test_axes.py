"""What `--vary` may say, and the grid that it spans."""

from __future__ import annotations

import pytest

from dsd_plan.domain.sweep import Axis, axis_of, grid, grid_size
from dsd_plan.errors import InputError


def test_a_range_has_both_its_ends() -> None:
    assert axis_of("load=0.1:0.5:5").numbers == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert axis_of("load = 2:1:3").numbers == (2.0, 1.5, 1.0)


def test_a_range_by_ratio() -> None:
    assert axis_of("links[0].rtt_ms=1:1000:4:log").numbers == (1.0, 10.0, 100.0, 1000.0)


def test_values_one_by_one_are_kept_as_written() -> None:
    axis = Axis("plan.assignments[chat].mode", texts=("fused", "distributed"))
    assert axis_of("plan.assignments[chat].mode=fused, distributed") == axis
    assert axis_of("load=1").texts == ("1",)


def test_a_key_may_hold_an_equals_sign() -> None:
    assert axis_of('devices[a].profiles["x=y"].law.step_ms=1,2').key == 'devices[a].profiles["x=y"].law.step_ms'


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("load", "expected KEY=low:high:count"),
        ("=1:2:3", "expected KEY=low:high:count"),
        ("load=", "expected KEY=low:high:count"),
        ("load=1:2", "expected KEY=low:high:count"),
        ("load=1:2:3:lin", "expected KEY=low:high:count"),
        ("load=a:b:3", "expected two numbers and a whole number"),
        ("load=1:2:2.5", "expected two numbers and a whole number"),
        ("load=1:2:1", "found 1 values, expected 2 or more; for one value write load=1"),
        ("load=1:1:3", "is one value"),
        ("load=0:2:3:log", "expected numbers above 0"),
        ("load=1:inf:3", "expected two finite numbers"),
        ("load=1,,2", "an empty value"),
        ("load=1,2,1", "found 1 more than once"),
    ],
)
def test_what_cannot_be_read(written: str, words: str) -> None:
    with pytest.raises(InputError, match="--vary") as caught:
        axis_of(written)
    assert words in str(caught.value)


def test_the_last_key_runs_fastest() -> None:
    points = list(grid([("a", (1, 2)), ("b", ("x", "y"))]))
    assert points == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_grid_of_more_than_a_million_points_is_a_slip() -> None:
    with pytest.raises(InputError, match="1,002,001 points"):
        grid_size([("a", range(1001)), ("b", range(1001))])
