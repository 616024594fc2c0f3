"""Breaking loads against curves whose crossing is known by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.capacity.breaking import LEAST_LOAD, MOST_LOAD, RESOLUTION, Loads, any_excess, excess_of, unsteady
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance, Quantiles
from dsd_plan.domain.workload import PoissonRequests
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict as model_predict
from dsd_plan.optimize.choices.budgets import Limit
from tests.model.systems import Chat, system

SYSTEM = system(Chat(mode="target_only", rate_per_s=1.0))
TPOT = Limit("chat0", "tpot_p95_ms", 50.0)
BASE = model_predict(SYSTEM)


class Queue:
    """TPOT p95 of 20 / (1 − ρ) ms with ρ = rate / `most`: what a single server would show."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.calls = 0

    def __call__(self, deployed: Deployed) -> Performance:
        self.calls += 1
        requests = deployed.streams[0].requests
        assert isinstance(requests, PoissonRequests)
        rho = requests.rate_per_s / self.most
        if rho >= 1.0:
            raise UnstableError("gpu", rho, "send less")
        tpot = Quantiles(mean=1.0, p50=1.0, p95=20.0 / (1.0 - rho), p99=1.0)
        return replace(BASE, workloads=(replace(BASE.workloads[0], tpot_ms=tpot),))


def test_a_budget_breaks_where_the_curve_crosses_it() -> None:
    # 20 / (1 − ρ) = 50 at ρ = 0.6, which is 2.4 requests a second of 4.
    edge = Loads(SYSTEM, Queue(4.0)).edge(excess_of(TPOT))
    assert edge.kept is not None
    assert edge.broken is not None
    assert edge.kept <= 2.4 < edge.broken <= edge.kept * (1.0 + RESOLUTION)


@given(most=st.floats(0.05, 100.0), limit=st.floats(20.5, 500.0))
def test_every_crossing_is_bracketed_with_few_questions(most: float, limit: float) -> None:
    queue = Queue(most)
    edge = Loads(SYSTEM, queue).edge(excess_of(replace(TPOT, limit=limit)))
    exact = most * (1.0 - 20.0 / limit)
    if exact < LEAST_LOAD:
        assert edge.kept is None or edge.kept <= exact
        assert edge.load is not None
    elif exact > MOST_LOAD:
        assert edge.load is None or edge.kept == pytest.approx(MOST_LOAD, rel=2 * RESOLUTION)
    else:
        assert edge.kept is not None
        assert edge.broken is not None
        assert edge.kept <= exact * (1 + 1e-9)
        assert edge.broken >= exact * (1 - 1e-9)
        assert edge.broken <= edge.kept * (1.0 + RESOLUTION)
    assert queue.calls <= 40


def test_saturation_is_found_and_breaks_every_budget() -> None:
    loads = Loads(SYSTEM, Queue(4.0))
    assert loads.edge(unsteady).load == pytest.approx(4.0, rel=RESOLUTION)
    loose = replace(TPOT, limit=1e9)
    assert loads.edge(excess_of(loose)).load == pytest.approx(4.0, rel=RESOLUTION)
    assert loads.edge(any_excess((TPOT, loose))).load == pytest.approx(2.4, rel=RESOLUTION)


def test_a_budget_below_the_empty_system_breaks_at_every_load() -> None:
    edge = Loads(SYSTEM, Queue(4.0)).edge(excess_of(replace(TPOT, limit=19.0)))
    assert edge.kept is None
    assert edge.load == 0.0


def test_nothing_is_asked_twice() -> None:
    queue = Queue(4.0)
    loads = Loads(SYSTEM, queue)
    loads.edge(excess_of(TPOT))
    asked = queue.calls
    assert loads.edge(excess_of(TPOT)).load == pytest.approx(2.4, rel=RESOLUTION)
    assert queue.calls == asked


def test_a_workload_grows_alone() -> None:
    two = system(Chat(mode="target_only", rate_per_s=1.0), Chat(mode="target_only", rate_per_s=2.0))
    grown = Loads(two, model_predict, "chat1").at(3.0)
    rates = [s.requests.rate_per_s for s in grown.streams if isinstance(s.requests, PoissonRequests)]
    assert rates == [1.0, 6.0]


def test_no_steady_state_is_infinitely_broken() -> None:
    assert excess_of(TPOT)(UnstableError("gpu", 1.2, "send less")) == inf
