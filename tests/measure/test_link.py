"""The profiler against links whose truth is known, in virtual time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.link_profile import LinkProfile, link_profile_problems, link_values
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.link.probe import PROBES_PER_S, WINDOWS, large_probes, small_probes
from dsd_plan.measure.link.profile import Evidence, link_profile, profile_link
from tests.measure.virtual_link import VirtualLink, contract_delay

TOKEN = 77


def measured(wire: VirtualLink, for_s: float = 120.0, **evidence: Any) -> tuple[LinkProfile, RttTrace]:
    probes = small_probes(wire, TOKEN, for_s, np.random.default_rng(0))
    known = Evidence(probes, datagrams=(wire.received, wire.answered), method={"for_s": for_s}, **evidence)
    return link_profile(known, "far:1", "2026-01-01T00:00:00+00:00")


def test_a_steady_link_is_told_exactly() -> None:
    """20 ms up and 5 ms down without variation; 3 ms that the listener takes are not the link's."""
    wire = VirtualLink(lambda _: 20.0, lambda _: 5.0, answering_ms=3.0, clock_offset_s=-4_000.0)
    profile, trace = measured(wire, for_s=30.0)
    assert profile.rtt_ms.min == pytest.approx(25.0, abs=1e-5)
    assert profile.rtt_ms.p99 == pytest.approx(25.0, abs=1e-5)
    assert profile.jitter_cv == pytest.approx(0.0, abs=1e-6)
    assert profile.loss == 0.0
    assert (profile.uplink_mbps, profile.downlink_mbps) == (None, None)
    assert trace.rtt_ms == pytest.approx([25.0] * profile.samples, abs=1e-5)
    assert len(trace.at_s) == profile.samples
    assert link_profile_problems(profile) == ()


@pytest.mark.parametrize(("mean_ms", "cv"), [(20.0, 0.05), (20.0, 0.3), (2.0, 0.9)])
def test_the_law_of_the_contract_is_recovered(mean_ms: float, cv: float) -> None:
    """Over 3,600 round trips: mean within 2 %, cv within 7 %, and the law tells the tail within 6 %."""
    wire = VirtualLink(contract_delay(mean_ms, cv), contract_delay(mean_ms, cv), clock_offset_s=90.0)
    profile, _ = measured(wire)
    assert profile.rtt_ms.mean == pytest.approx(2 * mean_ms, rel=0.02)
    assert profile.jitter_cv == pytest.approx(cv, rel=0.07)
    assert abs(profile.jitter_fit.p95_error) < 0.06
    assert abs(profile.jitter_fit.p99_error) < 0.06
    assert not profile.jitter_fit.clipped
    assert profile.up_share == pytest.approx(0.5, abs=0.06)


def test_jitter_of_one_direction_is_seen_through_clocks_that_drift() -> None:
    """Only the way up varies (std 4 ms); the listener's clock is an hour off and gains 80 ppm."""
    wire = VirtualLink(
        lambda rng: 10.0 + rng.exponential(4.0), lambda _: 30.0, clock_offset_s=3_600.0, clock_drift_ppm=80.0
    )
    profile, _ = measured(wire)
    assert profile.up is not None
    assert profile.down is not None
    assert profile.clock_drift_ppm == pytest.approx(80.0, abs=2.0)
    assert profile.up.excess_std_ms == pytest.approx(4.0, rel=0.06)
    assert profile.up.excess_p95_ms == pytest.approx(4.0 * np.log(20.0), rel=0.08)
    assert profile.down.excess_p99_ms < 0.3
    assert profile.up_share is not None
    assert profile.up_share > 0.99
    assert (profile.up.mean_ms, profile.down.mean_ms) == (None, None)


def test_synchronised_clocks_tell_the_two_ways_apart() -> None:
    """Monotonic clocks that are 7 s apart, wall clocks that agree: 30 ms up and 10 ms down."""
    wire = VirtualLink(lambda _: 30.0, lambda _: 10.0, clock_offset_s=7.0)
    profile, _ = measured(wire, for_s=10.0, wall_difference_ns=-7_000_000_000)
    assert profile.up is not None
    assert profile.down is not None
    assert (profile.up.mean_ms, profile.down.mean_ms) == pytest.approx((30.0, 10.0), abs=1e-3)
    values = link_values(profile)
    assert values["rtt_ms"] is None
    assert (values["up_ms"], values["down_ms"]) == (profile.up.mean_ms, profile.down.mean_ms)


def test_clocks_that_are_not_synchronised_are_found_out() -> None:
    wire = VirtualLink(lambda _: 30.0, lambda _: 10.0)
    with pytest.raises(MeasurementError, match=r"not synchronised: messages would take 530 ms up and -490 ms down"):
        measured(wire, for_s=10.0, wall_difference_ns=500_000_000)


def test_loss_is_told_for_each_direction() -> None:
    wire = VirtualLink(lambda _: 5.0, lambda _: 5.0, loss_up=0.02, loss_down=0.10, repeat_every=7)
    profile, _ = measured(wire)
    up, down = profile.loss_up, profile.loss_down
    assert up is not None
    assert down is not None
    assert up.sent == pytest.approx(120 * PROBES_PER_S * 0.75, rel=0.05)
    assert up.lost == up.sent - wire.received
    assert (down.sent, down.lost) == (wire.answered, wire.lost_down)
    assert up.low < 0.02 < up.high
    assert down.low < 0.10 < down.high
    assert profile.loss == (up.lost + down.lost) / (up.sent + down.sent)


def test_where_udp_is_blocked_tcp_is_told_and_loss_is_not_known() -> None:
    wire = VirtualLink(lambda _: 8.0, lambda _: 8.0, udp_blocked=True)
    profile, _ = measured(wire, for_s=20.0)
    assert profile.transport == "tcp"
    assert profile.method["udp"] == "blocked"
    assert (profile.loss, profile.loss_up, profile.loss_down) == (None, None, None)
    assert profile.rtt_ms.p50 == pytest.approx(16.0, abs=1e-5)
    assert profile.samples > 20.0 * PROBES_PER_S * 0.8, "once udp is known to be blocked, every probe goes over tcp"
    assert link_values(profile)["loss"] == 0.0


def test_probes_are_paced_at_random_and_not_held_up_by_late_answers() -> None:
    """Round trips of 2 s, eighty times the gap between probes: they go out at their times all the same."""
    wire = VirtualLink(lambda _: 700.0, lambda _: 700.0)
    probes = small_probes(wire, TOKEN, 60.0, np.random.default_rng(3))
    rows = np.sort(np.concatenate([probes.rows("udp"), probes.rows("tcp")])[:, 0])
    gaps_s = np.diff(rows) * 1e-9
    assert gaps_s.mean() == pytest.approx(1 / PROBES_PER_S, rel=0.05)
    assert gaps_s.std() == pytest.approx(gaps_s.mean(), rel=0.1)
    assert len(rows) == sum(probes.sent.values())
    assert {probe.up_bytes for probe in probes.answered} == {4 * window for window in WINDOWS}


def test_a_link_that_breaks_leaves_what_was_measured() -> None:
    wire = VirtualLink(lambda _: 5.0, lambda _: 5.0, breaks_at_s=10.0)
    probes = small_probes(wire, TOKEN, 60.0, np.random.default_rng(0))
    assert probes.ended_early == "the other side closed the connection"
    profile, _ = link_profile(Evidence(probes, ended_early=probes.ended_early), "far:1", "now")
    assert profile.samples == pytest.approx(10 * PROBES_PER_S * 0.75, rel=0.2)
    assert profile.method["ended_early"] == "the other side closed the connection"
    assert profile.loss is None


def test_too_little_is_no_profile() -> None:
    wire = VirtualLink(lambda _: 5.0, lambda _: 5.0, breaks_at_s=0.2)
    with pytest.raises(MeasurementError, match=r"round trips came back, expected 20 or more"):
        measured(wire)


def test_large_messages_show_what_the_bandwidth_costs() -> None:
    """1 MB at 80 Mbit/s takes 100 ms on top of the 12 ms of a small message."""
    wire = VirtualLink(lambda _: 6.0, lambda _: 6.0, mbps=80.0)
    small = small_probes(wire, TOKEN, 10.0, np.random.default_rng(0))
    large = large_probes(wire, TOKEN, (1_000_000,), 5, 10.0, np.random.default_rng(0))
    profile, _ = link_profile(Evidence(small, large=large), "far:1", "now")
    row = next(row for row in profile.by_payload if row.up_bytes == 1_000_000)
    assert (row.transport, row.samples) == ("tcp", 5)
    assert row.rtt_ms.p50 == pytest.approx(112.0, abs=0.01)


def test_large_messages_stop_when_their_time_is_up() -> None:
    wire = VirtualLink(lambda _: 500.0, lambda _: 500.0)
    large = large_probes(wire, TOKEN, (1_000, 2_000), 50, 3.5, np.random.default_rng(0))
    assert len(large.answered) == 3
    assert large.sent["tcp"] == 4


def test_bandwidth_is_the_steady_part_in_each_direction() -> None:
    """Half a second of a slow start, then 10 MB/s up and 2 MB/s down."""

    def bins(per_s: float) -> tuple[tuple[int, int], ...]:
        at_s = np.linspace(0.0, 4.0, 201)
        total = np.where(at_s < 0.5, 0.0, (at_s - 0.5) * per_s)
        return tuple((int(t * 1e9) + 10**15, int(b)) for t, b in zip(at_s, total, strict=True))

    wire = VirtualLink(lambda _: 5.0, lambda _: 5.0)
    profile, _ = measured(wire, for_s=10.0, upload=bins(10e6), download=bins(2e6))
    assert profile.uplink_mbps == pytest.approx(80.0, rel=1e-3)
    assert profile.downlink_mbps == pytest.approx(16.0, rel=1e-3)


def test_a_round_trip_that_changes_is_told_over_time() -> None:
    wire = VirtualLink(lambda _: 5.0 if wire.now_ns() < 5_060 * 10**9 else 15.0, lambda _: 5.0)
    profile, _ = measured(wire)
    medians = [moment.p50_ms for moment in profile.over_time]
    assert len(medians) == 20
    assert medians[:10] == pytest.approx([10.0] * 10, abs=1e-4)
    assert medians[10:] == pytest.approx([20.0] * 10, abs=1e-4)
    assert [moment.at_s for moment in profile.over_time][:2] == pytest.approx([3.0, 9.0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"for_s": 0.0}, "found 0 s of probes, expected 1 to 3,600"),
        ({"bulk_s": 99.0}, "found 99 s of bulk, expected 0 to 15"),
        ({"large_bytes": (10**9,)}, "found a payload of 1000000000 bytes"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_connecting(options: Any, text: str) -> None:
    with pytest.raises(MeasurementError, match=text):
        profile_link("127.0.0.1", 1, **options)
