"""How many requests play a recording whole, and which part of it fewer play."""

from __future__ import annotations

import pytest

from dsd_plan.replay.recordings import MOST_REQUESTS, USUAL_REQUESTS, played_part, requests_for, shortest_s
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, recorded, system


def test_without_a_recording_the_usual_number_is_played() -> None:
    assert requests_for(system(poisson(1.0))) == USUAL_REQUESTS
    deployed = system(closed(3))
    assert played_part(deployed, 10) == (deployed, 1.0)
    assert shortest_s(deployed) is None


def test_a_recording_is_played_to_its_end() -> None:
    trace = system(recorded([0.1 * i for i in range(500)], [10] * 500, [5] * 500), mode="target_only")
    assert shortest_s(trace) == pytest.approx(49.9)
    assert requests_for(trace) == 550  # a tenth to spare
    assert played_part(trace, 550) == (trace, 1.0)


def test_a_very_long_recording_is_played_in_part() -> None:
    many = 150_000
    trace = system(recorded([0.1 * i for i in range(many)], [10] * many, [5] * many), mode="target_only")
    assert requests_for(trace) == MOST_REQUESTS


def test_fewer_requests_play_the_beginning() -> None:
    trace = system(recorded([0.1 * i for i in range(500)], [10] * 500, [5] * 250 + [50] * 250), mode="target_only")
    part, share = played_part(trace, 250)
    (stream,) = part.streams
    assert stream.requests.arrival_s.size == pytest.approx(250, abs=1)
    assert set(stream.requests.output_tokens.tolist()) == {5}
    assert share == pytest.approx(0.5, abs=0.01)


def test_replications_without_chance_are_counted_once() -> None:
    asked = recorded([0.1 * i for i in range(300)], [10] * 300, [5] * 300)
    once, eight = (replay(system(asked, mode="target_only"), requests=400, replications=n) for n in (1, 8))
    (alone,), (together,) = once.workloads, eight.workloads
    assert (together.requests, together.ci) == (alone.requests, None)
    assert together.ttft_ms == alone.ttft_ms
    assert "nothing is left to chance: all 8 replications are alike, and are counted once" in eight.notes
    by_chance = replay(system(asked), requests=400, replications=2)
    assert by_chance.workloads[0].ci is not None
    assert not any("left to chance" in note for note in by_chance.notes)
