"""What the DSD paper's simulator shows and is right about, and where it is wrong, by hand (arXiv 2511.21669)."""

from __future__ import annotations

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, system


def far(rtt_ms: float) -> Link:
    return Link(between=("edge", "region"), rtt_ms=rtt_ms, jitter_cv=0.1)


def test_the_shortest_queue_beats_blind_routing() -> None:
    """Four replicas near their limit: at random some fill while others idle; in turn, or of two, they do not."""
    e2e = {}
    for routing in ("jsq", "round_robin", "power_of_two", "random"):
        deployed = system(
            poisson(24.0), mode="target_only", replicas=4, cap=8, target=StepLaw(step_ms=20.0), routing=routing
        )
        e2e[routing] = replay(deployed, requests=4000, replications=4).workloads[0].e2e_ms.p95
    # Requests of one length in turn are nearly as even as can be.
    assert e2e["jsq"] < 1.01 * e2e["round_robin"]
    assert e2e["round_robin"] < 0.95 * e2e["random"]
    assert e2e["jsq"] < e2e["power_of_two"] < 0.95 * e2e["random"]


def test_throughput_levels_off_where_the_target_is_full() -> None:
    """Batches of 8, steps of 20 ms and 41 jobs a request: 8 / .02 / 41 = 9.76 requests a second, and no more."""
    rates = []
    for users in (4, 8, 32, 128):
        deployed = system(closed(users), mode="target_only", cap=8, target=StepLaw(step_ms=20.0), link=far(1.0))
        rates.append(replay(deployed, requests=3000, replications=2).workloads[0].requests_per_s or 0.0)
    full = 8 / 0.020 / 40
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] == pytest.approx(rates[3], rel=0.02)
    assert rates[3] == pytest.approx(full, rel=0.02)


def test_edge_drafts_lose_beyond_a_round_trip() -> None:
    """A lone user at .7: 2.77 tokens a round of 4 · 5 + RTT + 21; plain decoding 20.2 ms a token: equal at RTT 15."""
    tpot = {}
    for rtt_ms in (2.0, 12.0, 18.0, 60.0):
        edge = system(closed(1, 0.2, 100, 200), link=far(rtt_ms))
        tpot[rtt_ms] = replay(edge, requests=400, replications=4).workloads[0].tpot_ms.mean or 0.0
    plain = replay(system(closed(1, 0.2, 100, 200), mode="target_only", link=far(12.0)), requests=400, replications=2)
    against = plain.workloads[0].tpot_ms.mean
    expected = (1 - 0.7**5) / 0.3 * 20.2 - 4 * 5.0 - 21.0
    assert 12.0 < expected < 18.0
    assert tpot[2.0] < tpot[12.0] < against < tpot[18.0] < tpot[60.0]


@pytest.mark.parametrize(("per_token", "rounds"), [(1.0, 20), (0.0, 99)])
def test_how_long_a_request_takes_depends_on_acceptance(per_token: float, rounds: int) -> None:
    """100 tokens, the first from the prompt: 99 more take 20 rounds of 5, or 99 of 1; each 20 + 20 + 21 ms.

    The authors' simulator gives both the same completion time.
    """
    deployed = system(
        closed(1, 0.0, 100, 100),
        acceptance=AcceptanceLaw(per_token=per_token),
        link=Link(between=("edge", "region"), rtt_ms=20.0),
    )
    chat = replay(deployed, requests=20, replications=1).workloads[0]
    assert chat.rounds_per_request == rounds
    assert chat.e2e_ms.mean == pytest.approx(20.0 + 22.0 + rounds * 61.0)
