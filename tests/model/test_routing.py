"""Routings that compare queues lie between the shortest queue and blind chance."""

from __future__ import annotations

import pytest

from dsd_plan.domain.plan import Routing
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.model.systems import Chat, mean, system

CHAT = Chat(mode="target_only", rate_per_s=16.0)
COMPARING: tuple[Routing, ...] = ("power_of_two", "least_expected_delay")


def p99(routing: Routing) -> float:
    found = predict(system(CHAT, replicas=4, routing=routing)).workloads[0].e2e_ms.p99
    assert found is not None
    return found


@pytest.mark.parametrize("routing", COMPARING)
def test_they_are_nearer_to_the_shortest_queue(routing: Routing) -> None:
    shortest, blind = p99("jsq"), p99("random")
    assert shortest <= p99(routing) < (shortest + blind) / 2.0


@pytest.mark.parametrize("routing", COMPARING)
def test_they_agree_with_the_replay(routing: Routing) -> None:
    deployed = system(CHAT, replicas=4, routing=routing)
    seen, said = replay(deployed, seed=3, requests=4000, replications=2).workloads[0], predict(deployed).workloads[0]
    assert mean(said.tpot_ms) == pytest.approx(mean(seen.tpot_ms), rel=0.03)
    assert mean(said.ttft_ms) == pytest.approx(mean(seen.ttft_ms), rel=0.05)
