"""The same deployment elsewhere on an axis: what changes, and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import AcceptanceLaw, survival_by_position
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Link, Site
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace
from dsd_plan.optimize.choices.candidates import full_counts, plan_of, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.variation import (
    first_accepted,
    matched_law,
    route_rtt_ms,
    stream_of,
    with_acceptance,
    with_load,
    with_rtt,
)
from tests.optimize.small_scenarios import chat, scenario


def distributed(**more: object) -> Deployed:
    given_scenario = scenario(**more)  # type: ignore[arg-type]
    chosen = (space_of(given_scenario).purely("distributed").by_workload[0][0],)
    return deploy(given_scenario, plan_of(given_scenario, Choice(chosen, full_counts(given_scenario, chosen))))


TWO_HOPS = {
    "sites": (Site(name="clinic"), Site(name="hub"), Site(name="region")),
    "links": (
        Link(between=("clinic", "hub"), up_ms=6.0, down_ms=2.0, jitter_cv=0.3, loss=0.01),
        Link(between=("hub", "region"), rtt_ms=12.0, uplink_mbps=50.0),
    ),
}


@given(rtt_ms=st.floats(0.5, 500.0))
def test_a_route_is_scaled_in_proportion(rtt_ms: float) -> None:
    deployed = distributed(**TWO_HOPS)
    stream = stream_of(with_rtt(deployed, "chat", rtt_ms), "chat")
    assert route_rtt_ms(stream) == pytest.approx(rtt_ms)
    assert [hop.mean_ms for hop in stream.up] == pytest.approx([0.3 * rtt_ms, 0.3 * rtt_ms])
    assert [hop.mean_ms for hop in stream.down] == pytest.approx([0.3 * rtt_ms, 0.1 * rtt_ms])
    assert stream.up[0].rtt_ms == pytest.approx(0.4 * rtt_ms)  # a lost message costs more, too
    assert [hop.jitter_cv for hop in stream.up] == [0.3, 0.0]
    assert stream.up[1].mbps == 50.0


def test_a_route_without_delay_gets_one() -> None:
    stream = stream_of(with_rtt(distributed(rtt_ms=0.0), "chat", 30.0), "chat")
    assert route_rtt_ms(stream) == pytest.approx(30.0)


def test_other_workloads_stay_as_they_are() -> None:
    given_scenario = scenario(workloads=(chat(), chat(name="notes")))
    space = space_of(given_scenario).purely("distributed")
    chosen = (space.by_workload[0][0], space.by_workload[1][0])
    deployed = deploy(given_scenario, plan_of(given_scenario, Choice(chosen, full_counts(given_scenario, chosen))))
    changed = with_acceptance(with_rtt(deployed, "chat", 99.0), "chat", AcceptanceLaw(per_token=0.1))
    assert stream_of(changed, "notes") is stream_of(deployed, "notes")
    assert stream_of(changed, "chat").acceptance == AcceptanceLaw(per_token=0.1)


@given(first=st.floats(0.05, 0.99))
def test_a_matched_law_keeps_the_shape(first: float) -> None:
    """s_i ← s_i^e leaves ln s_i / ln s_1 alone, and independent tokens independent."""
    shape = AcceptanceLaw(survival=(0.8, 0.5, 0.4))
    law = matched_law(shape, 8, first)
    survival = survival_by_position(law, 3)
    assert survival[0] == pytest.approx(first)
    assert np.log(survival) / np.log(survival[0]) == pytest.approx(np.log([0.8, 0.5, 0.4]) / np.log(0.8))
    independent = survival_by_position(matched_law(AcceptanceLaw(per_token=0.7), 5, first), 5)
    assert independent == pytest.approx(first ** np.arange(1, 6))


def test_a_matched_law_at_today_is_todays() -> None:
    shape = AcceptanceLaw(survival=(0.8, 0.5, 0.4))
    assert survival_by_position(matched_law(shape, 3, first_accepted(shape, 3)), 3) == pytest.approx([0.8, 0.5, 0.4])


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_pair_that_is_always_or_never_right_has_no_shape_to_keep(certain: float) -> None:
    assert matched_law(AcceptanceLaw(per_token=certain), 3, 0.5) == AcceptanceLaw(per_token=0.5)


def test_load_scales_every_kind_of_request() -> None:
    deployed = distributed()
    (stream,) = deployed.streams
    closed = ClosedRequests(users=10, think_s=1.0, prompt_tokens=5, output_tokens=6)
    trace = RequestTrace(np.array([2.0, 4.0, 8.0]), np.array([1, 2, 3]), np.array([4, 5, 6]))

    def loaded(requests: PoissonRequests | ClosedRequests | RequestTrace, factor: float) -> object:
        one = replace(deployed, streams=(replace(stream, requests=requests),))
        return with_load(one, factor).streams[0].requests

    assert isinstance(stream.requests, PoissonRequests)
    assert loaded(stream.requests, 2.5) == replace(stream.requests, rate_per_s=2.5 * stream.requests.rate_per_s)
    assert loaded(closed, 1.26) == replace(closed, users=13)
    assert loaded(closed, 0.01) == replace(closed, users=1)
    twice = loaded(trace, 2.0)
    assert isinstance(twice, RequestTrace)
    assert twice.rate_per_s == pytest.approx(2.0 * trace.rate_per_s)
