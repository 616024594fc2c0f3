"""Grids reach what a model can hold, and axes that are given are measured."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import FULL_GRID, QUICK_GRID, Grid, GridPoint, grid_for, spread, that_fit, with_axes
from dsd_plan.measure.steps.held_out import held_out_points


@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_short_context_on_a_processor_takes_the_tuned_grid(level: str) -> None:
    assert grid_for(level, 512, accelerator=False) == {"quick": QUICK_GRID, "full": FULL_GRID}[level]  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("accelerator", [False, True])
@pytest.mark.parametrize("max_context", [1024, 4096, 131_072])
def test_a_long_context_is_reached_but_not_past_32k(level: str, accelerator: bool, max_context: int) -> None:
    grid = grid_for(level, max_context, accelerator=accelerator)  # type: ignore[arg-type]
    points = grid.points(max_context)
    reached = max(point.context_tokens + point.new_tokens for point in points if point.phase == "decode")
    assert reached == min(max_context, 32_768)
    assert max(grid.decode_batch) == (256 if accelerator else 64)
    assert max(grid.decode_new_tokens) == 17
    contexts = grid.decode_context_tokens
    ratios = [later / earlier for earlier, later in pairwise(contexts)]
    assert max(ratios) < 1.05 * min(ratios)


def test_spread_by_hand() -> None:
    assert spread(1, 16, 5) == (1, 2, 4, 8, 16)
    assert spread(7, 7, 5) == (7,)


def test_axes_that_are_given_take_the_place_of_the_grids() -> None:
    grid = with_axes(FULL_GRID, batch=(8, 1, 8), context=(0, 100), prompt=(64,))
    assert grid == Grid("custom", (1, 8), FULL_GRID.decode_new_tokens, (0, 100), (1,), (64,))
    assert with_axes(FULL_GRID, batch=(32,)).prefill_batch == (32,)
    assert with_axes(FULL_GRID) is FULL_GRID


def test_what_does_not_fit_says_how_much_is_missing() -> None:
    def needs(point: GridPoint) -> int:
        return (3 + point.batch) * 2**30

    points = with_axes(QUICK_GRID, batch=(1, 2, 4)).points(512)
    kept = that_fit("m", points, needs, 5 * 2**30)
    assert {point.batch for point in kept} == {1, 2}
    assert that_fit("m", points, needs, None) == points
    with pytest.raises(
        MeasurementError,
        match=r"batch 1, 1 new .* needs 4\.00 GiB, 3\.50 GiB are free, 0\.50 GiB are missing; .*layers",
    ):
        that_fit("m", points, needs, int(3.5 * 2**30))


def test_points_left_out_lie_between_the_nodes_and_the_seed_draws_them() -> None:
    nodes = FULL_GRID.points(512)
    drawn = held_out_points(nodes, lambda point: True, 0)
    assert len([point for point in drawn if point.phase == "decode"]) == 24
    assert len([point for point in drawn if point.phase == "prefill"]) == 6
    assert not set(drawn) & set(nodes)
    for point in drawn:
        same = [
            node
            for node in nodes
            if node.phase == point.phase and (node.phase, node.context_tokens > 0) != ("prefill", True)
        ]
        for axis in ("batch", "new_tokens", "context_tokens"):
            values = [getattr(node, axis) for node in same]
            assert min(values) <= getattr(point, axis) <= max(values)
    assert held_out_points(nodes, lambda point: True, 0) == drawn != held_out_points(nodes, lambda point: True, 1)
    small = held_out_points(nodes, lambda point: point.batch <= 8, 0)
    assert max(point.batch for point in small) <= 8


def test_a_grid_without_room_between_its_nodes_leaves_nothing_out() -> None:
    nodes = Grid("tight", (1, 2), (1, 2), (16,), (1,), (16,)).points(64)
    assert held_out_points(nodes, lambda point: True, 0) == ()


def test_nothing_is_drawn_where_the_far_corner_was_not_measured() -> None:
    """Without the dearest corner of a 2 × 2 × 2 grid only its faces are left: one of the axes at its low end."""
    nodes = Grid("corner", (1, 8), (1, 9), (16, 64), (1,), (16, 32)).points(96)
    holed = tuple(node for node in nodes if node != GridPoint("decode", 8, 9, 64))
    drawn = held_out_points(holed, lambda point: True, 0)
    decode = [point for point in drawn if point.phase == "decode"]
    assert decode
    assert all(point.batch == 1 or point.new_tokens == 1 or point.context_tokens == 16 for point in decode)
    inside = [point for point in held_out_points(nodes, lambda point: True, 0) if point.phase == "decode"]
    assert any(point.batch > 1 and point.new_tokens > 1 and point.context_tokens > 16 for point in inside)
