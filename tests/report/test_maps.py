"""Maps: where a value lies on a grid, where the decision changes, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.study import MapCell, MapDot, ModeMap
from dsd_plan.report.blocks import Chart, Folded, Prose
from dsd_plan.report.maps import map_answer, maps_section, place
from dsd_plan.report.summary import plain as without_marks
from dsd_plan.report.tables import Table
from tests.report.studies import full_study


def plain(text: str) -> str:
    """As a terminal shows it."""
    return without_marks(text).replace("\u202f", " ")


def cell(x: float, y: float, mode: str, margin: float | None = 0.2) -> MapCell:
    return MapCell(x=x, y=y, mode=mode, window=4, margin=margin, tpot_ms={mode: 10.0, "target_only": None})


def grid(*rows: str, here: tuple[float, float] = (20.0, 0.5)) -> ModeMap:
    """A map whose rows are words of letters: d for distributed, f for fused, t for target only, a dot for nothing."""
    modes = {"d": "distributed", "f": "fused", "t": "target_only"}
    xs, ys = (10.0, 20.0, 40.0, 80.0), (0.5, 0.7, 0.9)
    cells = tuple(
        cell(x, y, modes[letter])
        for y, row in zip(ys, rows, strict=False)
        for x, letter in zip(xs, row, strict=True)
        if letter != "."
    )
    return ModeMap(workload="chat", title="t", x_name="rtt_ms", y_name="acceptance", here=here, cells=cells)


def chart(found: ModeMap) -> Chart:
    block = maps_section(replace(full_study(), maps=(found,))).blocks[0]
    assert isinstance(block, Chart)
    return block


@pytest.mark.parametrize(
    ("value", "at"), [(10.0, 0.0), (20.0, 1.0), (30.0, 1.5), (80.0, 3.0), (5.0, -0.5), (500.0, 3.5)]
)
def test_a_value_lies_between_the_steps_of_the_grid(value: float, at: float) -> None:
    assert place(value, [10.0, 20.0, 40.0, 80.0]) == pytest.approx(at)


def test_the_boundary_runs_where_modes_differ() -> None:
    boundary = chart(grid("dddf", "dddf")).layout["shapes"][0]["path"]
    assert boundary == "M2.5,-0.5L2.5,0.5M2.5,0.5L2.5,1.5"


def test_one_mode_with_empty_cells_is_drawn_without_a_boundary() -> None:
    assert "L" not in chart(grid("dddd", "ddd.")).layout["shapes"][0]["path"]


def test_one_mode_everywhere_is_a_sentence_with_its_numbers_folded_away() -> None:
    found = grid("dddd", "dddd")
    cells = tuple(
        replace(c, margin=0.05 * at, tpot_ms={"distributed": 10.0, "fused": 12.5}) for at, c in enumerate(found.cells)
    )
    section = maps_section(replace(full_study(), maps=(replace(found, cells=cells[1:] + cells[:1]),)))
    said, numbers = section.blocks
    assert isinstance(said, Prose)
    assert plain(str(said.text)) == (
        "For chat over RTT 10 ms to 80 ms and acceptance of the first proposal 0.5 to 0.7, distributed is the "
        "fastest everywhere by the model, with devices as planned, the next best mode's TPOT 0 % to 35 % longer. Here "
        "distributed with window 4 is fastest by the "
        "model, with devices as planned: mean TPOT 10.0 ms, fused on the same devices 12.5 ms."
    )
    assert isinstance(numbers, Folded)
    assert isinstance(numbers.body, Table)
    assert len(numbers.body.rows) == 8


def test_the_frame_is_on_the_nearest_cell() -> None:
    frame = chart(grid("dddf", "dddf", here=(22.0, 0.68))).layout["shapes"][1]
    assert ((frame["x0"] + frame["x1"]) / 2, (frame["y0"] + frame["y1"]) / 2) == pytest.approx((1.0, 1.0))


def test_an_empty_cell_is_explained() -> None:
    found = chart(grid("ddd.", "dddf"))
    assert found.data[0]["z"][0][3] is None
    assert any(
        "no" in entry.text and "steady state" in entry.text for entry in found.key if entry.shape == "frame-thin"
    )


def test_colours_are_flat() -> None:
    scale = chart(grid("ddft", "dfft")).data[0]["colorscale"]
    ends = [stop for stop, _ in scale]
    assert [colour for _, colour in scale[::2]] == [colour for _, colour in scale[1::2]]
    assert ends[1:-1:2] == ends[2::2]


def test_the_answer_says_who_wins_here_and_where_that_changes() -> None:
    text = plain(map_answer(grid("ddff")))
    assert "distributed with window 4 is fastest by the model, with devices as planned: the next best mode's" in text
    assert "TPOT is 20 % longer" in text
    assert "then fused from 40" in text


def test_a_mode_without_a_rival_is_not_given_a_margin() -> None:
    found = grid("dddd", "ddd.")
    alone = replace(found, cells=tuple(replace(c, margin=None) for c in found.cells))
    assert "the only one" in map_answer(alone)
    assert "alone" in chart(alone).data[0]["text"][0][0]


def test_what_follows_names_the_next_mode_along_the_axis() -> None:
    section = maps_section(replace(full_study(), maps=(grid("ddft"),)))
    assert section.so_what == "From RTT 40\u202fms on, fused is faster for \u2068chat\u2069, with devices as planned."


def test_other_workloads_are_dots_and_named() -> None:
    dots = (MapDot(workload="letters", x=20.0, y=0.5),)
    drawn = chart(replace(grid("dddf", "dddf"), dots=dots))
    assert drawn.data[-1]["x"] == [1.0]
    assert str(drawn.answer).endswith(" Dots: \u2068letters\u2069 at 20\u202fms.")
    assert any(entry.text == "the fleet's other workloads" for entry in drawn.key)
    assert len(chart(grid("dddf", "dddf")).data) == len(drawn.data) - 1


@pytest.mark.parametrize(
    ("row", "here", "said"),
    [
        ("dddf", 20.0, "From RTT 80\u202fms on, fused is faster"),
        (
            "dttt",
            40.0,
            "At RTT 10\u202fms or less, distributed is faster",
        ),
        (
            "ffff",
            20.0,
            "No RTT within the range drawn changes which mode is fastest",
        ),
    ],
)
def test_what_follows_looks_to_both_sides(row: str, here: float, said: str) -> None:
    found = grid(row, here=(here, 0.5))
    assert (
        maps_section(replace(full_study(), maps=(found,))).so_what
        == f"{said} for \u2068chat\u2069, with devices as planned."
    )
