"""Routes take the shortest round trip, and a message's time adds up over its hops."""

from __future__ import annotations

import pytest

from dsd_plan.domain.fleet import Device, Link, ModelSpec, Site
from dsd_plan.domain.network import delay_variance_ms2, mean_delay_ms, route, serialisation_ms
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import PoissonRequests, Workload


def scenario(*links: Link) -> Scenario:
    law = declared_profile("gpu", "m", StepLaw(step_ms=1.0))
    return Scenario(
        name="net",
        sites=tuple(Site(name=n) for n in ("a", "b", "c", "island")),
        links=links,
        models=(ModelSpec(name="m"),),
        devices=(Device(name="gpu", site="c", count=1, memory_gib=1.0, profiles={"m": law}),),
        workloads=(
            Workload(
                name="w",
                site="a",
                target="m",
                requests=PoissonRequests(rate_per_s=1.0, prompt_tokens=1, output_tokens=1),
            ),
        ),
    )


DETOUR = scenario(
    Link(between=("a", "c"), rtt_ms=100.0),
    Link(between=("a", "b"), up_ms=10.0, down_ms=30.0, jitter_cv=0.5, uplink_mbps=8.0),
    Link(between=("c", "b"), rtt_ms=20.0, loss=0.2),
)


def test_two_short_hops_beat_a_long_link() -> None:
    found = route(DETOUR, "a", "c")
    assert found is not None
    up, down = found
    assert [hop.mean_ms for hop in up] == [10.0, 10.0]
    assert [hop.mean_ms for hop in down] == [10.0, 30.0]


def test_a_message_pays_propagation_serialisation_and_resending() -> None:
    found = route(DETOUR, "a", "c")
    assert found is not None
    # 10 + 1000 B · 8 / 8 Mbit/s = 1 ms; then 10 + 20 · .2/.8 = 5
    assert mean_delay_ms(found[0], 1000.0) == pytest.approx(10 + 1 + 10 + 5)
    # jitter (.5·10)²; losses 20² · .2/.8²
    assert delay_variance_ms2(found[0]) == pytest.approx(25 + 125)


def test_the_same_site_needs_no_network_and_an_island_has_none() -> None:
    assert route(DETOUR, "a", "a") == ((), ())
    assert route(DETOUR, "a", "island") is None


def test_serialisation_is_free_without_a_limit() -> None:
    assert serialisation_ms(1e9, float("inf")) == 0.0
