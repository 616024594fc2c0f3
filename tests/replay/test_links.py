"""Thin links and recorded round trips, worked by hand."""

from __future__ import annotations

from math import nan

import pytest

from dsd_plan.domain.fleet import Link, RttTrace
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.layout import Rows
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, recorded, system
from tests.replay.runs import kernel_run

STEP = StepLaw(step_ms=10.0)


def arrivals(link: Link, **changes: object) -> Rows:
    """Two prompts of 125 tokens (500 bytes) at once, two tokens each, streamed by a step of 10 ms."""
    given = {"mode": "target_only", "target": STEP, "link": link} | changes
    run = kernel_run(system(recorded([0.0, 0.0], [125, 125], [2, 2]), **given), most=2)  # type: ignore[arg-type]
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    return groups[groups["session"].argsort(kind="stable")]


def test_prompts_of_one_instant_go_out_one_after_the_other() -> None:
    """500 bytes at 1 Mbit/s take 4 ms: they arrive at 4 + 5 and 8 + 5 ms; the second waits for the step's end."""
    found = arrivals(Link(between=("edge", "region"), rtt_ms=10.0, uplink_mbps=1.0))
    # First: iterations end at 19 (its prefill) and 29 (its token beside the other's prefill). Second: 29 and 39.
    assert found["arrival_ms"].tolist() == [24.0, 34.0, 34.0, 44.0]


def test_tokens_of_one_iteration_share_the_way_down() -> None:
    """4 bytes at 0.016 Mbit/s take 2 ms; both arrive together upstairs and are stepped together."""
    found = arrivals(Link(between=("edge", "region"), rtt_ms=10.0, downlink_mbps=0.016))
    # Iterations end at 15 and 25; each sends two messages of 2 ms, then 5 ms of way.
    assert found["arrival_ms"].tolist() == [22.0, 32.0, 24.0, 34.0]


def test_store_and_forward_over_two_thin_links() -> None:
    """500 bytes: 4 ms on the first link, 8 on the second, which the second prompt finds busy."""
    near = Link(between=("edge", "hub"), rtt_ms=10.0, uplink_mbps=1.0)
    far = Link(between=("hub", "region"), rtt_ms=2.0, uplink_mbps=0.5)
    found = arrivals(near, further=far)
    # At the hub at 9 and 13; out at 17 and 25; at the region at 18 and 26. Steps: 18–28, 28–38, 38–48; down 6 ms.
    assert found["arrival_ms"].tolist() == [34.0, 44.0, 44.0, 54.0]


def test_a_thin_last_link_down_is_shared_by_order_of_arrival() -> None:
    near = Link(between=("edge", "hub"), rtt_ms=10.0, downlink_mbps=0.016)
    far = Link(between=("hub", "region"), rtt_ms=2.0)
    found = arrivals(near, further=far)
    # Prompts at 6 ms; iterations end at 16 and 26; at the hub a millisecond later; 2 ms each, then 5 ms.
    assert found["arrival_ms"].tolist() == [24.0, 34.0, 26.0, 36.0]
    assert found["gap_ms"].tolist() == pytest.approx([nan, 10.0, nan, 10.0], nan_ok=True)


def test_copies_of_a_site_have_links_of_their_own() -> None:
    """Two devices at each of two copies; prompts of 4 s on the wire go out in two lanes at a time."""
    deployed = system(
        closed(2, 0.0, 125, 1),
        link=Link(between=("edge", "region"), rtt_ms=10.0, uplink_mbps=1.0),
        copies=2,
        devices=2,
        draft_routing="round_robin",
        draft=StepLaw(step_ms=0.0),
        target=STEP,
    )
    run = kernel_run(deployed, most=40)
    assert run.tables["lanes"]["bytes"].tolist() == [500.0 * 20, 500.0 * 20]
    assert run.tables["lanes"]["busy_ms"].tolist() == pytest.approx([80.0, 80.0])


TRACE = RttTrace(at_s=(0.0, 0.01, 0.03), rtt_ms=(10.0, 40.0, 20.0))


def test_a_trace_gives_the_round_trip_of_the_moment_and_begins_again() -> None:
    """It lasts 30 + 15 ms. The prompt leaves at 0: 5 ms. Tokens leave at 15 (20 ms), 25 (20), 35 (10), 45 → 0 (5)."""
    link = Link(between=("edge", "region"), trace=TRACE)
    run = kernel_run(system(recorded([0.0, 9.0], [1, 1], [4, 1]), mode="target_only", target=STEP, link=link), most=1)
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    # In order: the third token left later on a shorter way, and 45 + 5 = 50 is later still.
    assert groups["arrival_ms"].tolist() == [35.0, 45.0, 45.0, 50.0]


def test_what_a_trace_comes_to() -> None:
    assert TRACE.length_s == pytest.approx(0.045)
    assert TRACE.mean_ms == pytest.approx((10 * 10 + 20 * 40 + 15 * 20) / 45)
    assert RttTrace(at_s=(0.0,), rtt_ms=(7.0,)).mean_ms == 7.0
    assert RttTrace(at_s=(0.0, 1.0), rtt_ms=(10.0, 30.0)).cv == pytest.approx(0.5)


def test_a_repeated_trace_is_told() -> None:
    link = Link(between=("edge", "region"), trace=TRACE)
    found = replay(system(closed(2, 0.1), link=link), requests=100, replications=2)
    assert any("edge – region: its trace of 0.045 s was played" in note for note in found.notes)


def test_a_link_that_is_offered_more_than_it_carries_is_not_replayed() -> None:
    """5 requests a second of 400 bytes of prompt alone are 16 kbit/s."""
    link = Link(between=("edge", "region"), rtt_ms=10.0, uplink_mbps=0.015)
    found = replay(system(poisson(5.0), mode="target_only", link=link), requests=100, replications=2)
    assert not found.steady
    (note,) = found.notes
    assert note.startswith(
        "edge – region is saturated: requests send 1.07 times what it can carry; offer less than 93.8 %"
    )


def test_busy_links_are_told() -> None:
    """By work: requests a second times bytes a request over what the link carries."""
    link = Link(between=("edge", "region"), rtt_ms=10.0, uplink_mbps=0.05)
    found = replay(system(poisson(5.0, 100, 20), mode="target_only", link=link), requests=2000, replications=4)
    (row,) = found.links
    assert row.name == "edge – region"
    assert row.up_bytes_per_s == pytest.approx(5.0 * 400.0, rel=0.03)
    assert row.up_busy == pytest.approx(5.0 * 400.0 * 8 / 50_000, rel=0.03)
    assert row.down_busy == row.down_bytes_per_s == 0.0


def test_more_messages_on_their_way_than_there_was_room_for() -> None:
    """Two seconds of tokens are between the region and the thin link at once, and none is lost."""
    near = Link(between=("edge", "hub"), rtt_ms=10.0, downlink_mbps=1.0)
    far = Link(between=("hub", "region"), rtt_ms=4000.0)
    run = kernel_run(system(closed(40, 0.0, 10, 100), mode="target_only", link=near, further=far), most=80)
    assert run.tables["flights"].size > 1 << 10
    assert run.tables["groups"]["tokens"][: int(run.worlds["logged"][0])].sum() == 80 * 100
    assert int(run.worlds["flying"][0]) == 0
