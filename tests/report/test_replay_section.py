"""Section 8: a stretch of the replay, request by request and iteration by iteration."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.excerpt import Excerpt
from dsd_plan.report.blocks import Cases, Chart, Prose
from dsd_plan.report.replay_section import replay_section
from tests.report.rich import excerpt
from tests.report.studies import full_study


def charts(*found: Excerpt) -> list[Chart]:
    blocks = replay_section(replace(full_study(), timeline=found)).blocks
    return [block for block in blocks if isinstance(block, Chart)]


def test_a_round_is_drawn_part_by_part() -> None:
    bars = {trace["name"]: (trace["base"], trace["x"]) for trace in charts(excerpt())[0].data}
    assert bars["draft"] == ([40.0, 90.0], [10.0, 10.0])
    assert bars["uplink"] == ([0.0, 50.0, 100.0], [10.0, 10.0, 10.0])
    assert bars["wait"] == ([60.0], [5.0])
    assert bars["target step"] == ([10.0, 65.0, 110.0], [20.0, 15.0, 20.0])
    assert bars["tokens on their way to the user"] == ([30.0, 80.0, 130.0], [10.0, 10.0, 20.0])


def test_iterations_are_as_wide_as_they_last_and_as_high_as_their_jobs() -> None:
    batches = charts(excerpt())[1]
    rounds, prompts = batches.data
    assert rounds["width"] == [20.0, 30.0, 15.0, 20.0]
    assert rounds["x"] == [20.0, 45.0, 72.5, 120.0]
    assert (rounds["y"], prompts["y"]) == ([2, 3, 4, 4], [1, 0, 0, 0])
    assert "4 iterations, with at most 4 jobs in one; the longest took 30.0" in str(batches.answer)


def test_windows_are_drawn_where_they_change() -> None:
    assert [chart.slug for chart in charts(excerpt())] == ["replay-sessions-0", "replay-batches-0", "replay-queue-0"]
    moved = charts(excerpt(mean_window=(None, 4.0, 5.0, 6.0)))
    assert moved[-1].slug == "replay-window-0"
    assert moved[-1].data[0]["y"] == [4.0, 5.0, 6.0]


def test_several_targets_are_shown_one_at_a_time() -> None:
    blocks = replay_section(replace(full_study(), timeline=(excerpt(), excerpt("other")))).blocks
    (cases,) = [block for block in blocks if isinstance(block, Cases)]
    assert [label for label, _ in cases.cases] == ["gpu-server, replica 1", "other, replica 1"]


def test_a_study_without_a_stretch_says_so() -> None:
    blocks = replay_section(full_study()).blocks
    assert [block for block in blocks if isinstance(block, Chart)] == []
    assert isinstance(blocks[0], Prose)
    assert "holds no stretch" in str(blocks[0].text)
