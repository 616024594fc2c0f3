"""Thin links: waits by hand, and against the replay."""

from __future__ import annotations

import pytest

from dsd_plan.domain.fleet import Link
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict
from dsd_plan.model.link_queue import with_link_queues
from dsd_plan.model.traffic import demands_of
from dsd_plan.replay.run import replay
from tests.replay.builder import poisson, system


def thin(mbps: float) -> Link:
    return Link(between=("edge", "region"), rtt_ms=20.0, jitter_cv=0.2, uplink_mbps=mbps, downlink_mbps=1000.0)


def test_prompts_wait_as_in_an_m_d_1_queue() -> None:
    """1,250 tokens are 5,000 bytes, 40 ms at 1 Mbit/s; ten a second keep it busy .4 of the time: .4 · 40 / (2 · .6)."""
    deployed = system(poisson(10.0, 1250, 2), mode="target_only", link=thin(1.0))
    plain = demands_of(deployed)
    (queued,) = with_link_queues(deployed, plain)
    assert queued.prompt_up.mean - plain[0].prompt_up.mean == pytest.approx(0.4 * 40.0 / (2.0 * 0.6))
    assert queued.round_up == plain[0].round_up


def test_copies_of_a_site_have_a_link_each() -> None:
    waits = []
    for copies in (1, 4):
        deployed = system(poisson(10.0 / copies, 1250, 2), mode="target_only", link=thin(1.0), copies=copies)
        plain = demands_of(deployed)
        (queued,) = with_link_queues(deployed, plain)
        waits.append(queued.prompt_up.mean - plain[0].prompt_up.mean)
    # The rate holds per copy: each of the four links carries a quarter of what the one did.
    assert waits[1] == pytest.approx(0.1 * 40.0 / (2.0 * 0.9))
    assert waits[0] > 4.0 * waits[1]


def test_links_without_a_limit_change_nothing() -> None:
    deployed = system(poisson(1.0))
    demands = demands_of(deployed)
    assert with_link_queues(deployed, demands) == demands


def test_a_link_that_is_offered_too_much_is_named() -> None:
    deployed = system(poisson(30.0, 1250, 2), mode="target_only", link=thin(1.0))
    with pytest.raises(UnstableError, match="link edge – region"):
        predict(deployed)


@pytest.mark.parametrize("rate_per_s", [2.0, 6.0])
def test_thin_uplinks_agree_with_their_replay(rate_per_s: float) -> None:
    deployed = system(poisson(rate_per_s, 1500, 30), mode="target_only", link=thin(1.0))
    model = predict(deployed).workloads[0]
    seen = replay(deployed, requests=4000, replications=3).workloads[0]
    assert model.ttft_ms.mean == pytest.approx(seen.ttft_ms.mean, rel=0.1)
    assert model.e2e_ms.mean == pytest.approx(seen.e2e_ms.mean, rel=0.03)


def test_wide_proposals_on_a_thin_uplink_agree_with_their_replay() -> None:
    deployed = system(poisson(2.0, 200, 40), wire="distributions", devices=200, link=thin(4.0))
    model = predict(deployed).workloads[0]
    seen = replay(deployed, requests=4000, replications=3).workloads[0]
    assert model.tpot_ms.mean == pytest.approx(seen.tpot_ms.mean, rel=0.08)
