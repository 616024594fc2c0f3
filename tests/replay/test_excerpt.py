"""Excerpts of a replay: what they say is what the run did, and they stay small."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.excerpt import Excerpt
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.excerpt import MOST_ITERATIONS, MOST_ROUNDS, MOST_SESSIONS, excerpts
from tests.replay.builder import closed, poisson, system

MIXED = system(
    {"chat": poisson(6.0, 100, 40), "code": poisson(2.0, 50, 20), "plain": closed(4, 0.2, 20, 10)},
    mode={"chat": "distributed", "code": "fused", "plain": "target_only"},
    devices=3,
    replicas=2,
)
LONG = system(poisson(0.3, 100, 2000), mode="target_only", target=StepLaw(step_ms=2.0))
TYPE = TypeAdapter(tuple[Excerpt, ...])


def only(deployed: Deployed) -> Excerpt:
    (found,) = excerpts(deployed, requests=300)
    return found


def test_a_round_by_hand() -> None:
    """One user alone, all by the clock: 20 ms up and down together, 4 draft steps of 5, a step of 20."""
    found = only(system(closed(1, 0.5, 100, 41), target=StepLaw(step_ms=20.0), draft=StepLaw(step_ms=5.0)))
    session = found.sessions[0]
    for at in range(1, len(session.tokens)):
        asked = session.asked_ms[at]
        times = [session.sent_ms[at], session.joined_ms[at], session.began_ms[at], session.verified_ms[at]]
        assert [time - asked for time in times] == pytest.approx([20.0, 30.0, 30.0, 50.0], abs=0.02)
        assert session.arrived_ms[at] - asked == pytest.approx(60.0, abs=0.02)
        assert session.window[at] == 4
    assert sum(session.tokens) == 41
    assert session.ended_ms == pytest.approx(session.arrived_ms[-1])
    assert set(found.queue) <= {0, 1}
    assert set(found.mean_window) <= {None, 4.0}


@pytest.mark.parametrize("deployed", [MIXED, LONG], ids=["mixed", "long"])
def test_columns_are_of_one_length_and_times_follow_each_other(deployed: Deployed) -> None:
    found = only(deployed)
    assert 1 <= len(found.sessions) <= MOST_SESSIONS
    assert sum(len(session.tokens) for session in found.sessions) <= MOST_ROUNDS + MOST_SESSIONS
    iterations = len(found.iteration_began_ms)
    assert iterations <= MOST_ITERATIONS + 1
    for column in (found.iteration_drafted_ms, found.iteration_ended_ms, found.prefills, found.rounds, found.tokens):
        assert len(column) == iterations
    following = zip(found.iteration_ended_ms, found.iteration_began_ms[1:], strict=False)
    assert all(end <= begin + 0.02 for end, begin in following)
    assert all(number >= 0 for number in found.queue)
    assert len(found.queue) == len(found.queue_at_ms)
    for session in found.sessions:
        columns = (session.asked_ms, session.sent_ms, session.joined_ms, session.began_ms, session.verified_ms)
        assert {len(column) for column in columns} == {len(session.tokens)}
        for times in zip(*columns, strict=True):
            assert list(times) == sorted(times)
        if session.ended_ms is not None:
            assert sum(session.tokens) == session.output_tokens


def test_it_is_small_and_can_be_read_again() -> None:
    for deployed in (MIXED, LONG):
        found = excerpts(deployed, requests=300)
        text = json.dumps(TYPE.dump_python(found, mode="json"))
        assert len(text) < 150_000
        assert TYPE.validate_python(json.loads(text)) == found
