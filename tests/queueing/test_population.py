"""Shared stations against the textbook systems that they contain."""

from __future__ import annotations

from math import exp, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.queueing.finite_source import load_dependent, machine_repairman
from dsd_plan.queueing.population import (
    averaging,
    births_and_deaths,
    finite_chain,
    poisson_chain,
    relaxation,
    shared,
)


def test_poisson_arrivals_that_hold_each_other_up_not_at_all() -> None:
    law = births_and_deaths(3.0, np.full(60, 2.0))
    assert law[:4] == pytest.approx([exp(-6.0) * 6.0**n / factorial(n) for n in range(4)])


def test_a_processor_that_divides_itself_is_mm1() -> None:
    # Everyone's time grows in proportion to the number present: geometric, whatever the service law.
    law = births_and_deaths(0.7, np.arange(1.0, 301.0))
    assert law[:5] == pytest.approx([0.3 * 0.7**n for n in range(5)])


def test_the_same_by_chains() -> None:
    direct = births_and_deaths(0.7, np.arange(1.0, 301.0))
    chained = shared(np.arange(1.0, 301.0) / 2.0, [poisson_chain(0.7 * 2.0, 301)])
    assert chained[:20] == pytest.approx(direct[:20])


@given(st.integers(1, 40), st.floats(0.1, 10.0), st.floats(0.2, 20.0))
def test_users_of_one_machine(users: int, service: float, think: float) -> None:
    law = shared(np.arange(1.0, users + 1.0), [finite_chain(users, service, think)])
    expected = machine_repairman(users, think, service, 1)
    assert law[0] == pytest.approx(expected.idle, rel=1e-6, abs=1e-12)
    assert (1.0 - law[0]) / service == pytest.approx(expected.throughput, rel=1e-6)


def test_two_chains_are_as_good_as_one_of_both() -> None:
    stretch = 0.02 + 0.001 * np.arange(1, 11)
    apart = shared(stretch, [finite_chain(4, 1.0, 0.05), finite_chain(6, 1.0, 0.05)])
    closed = load_dependent(10, 0.05, lambda j: j / (0.02 + 0.001 * j))
    assert apart[0] == pytest.approx(closed.idle)


def test_users_who_are_never_away_are_all_there() -> None:
    assert shared(np.ones(5), [finite_chain(5, 1.0, 0.0)])[-1] == 1.0


def test_relaxation_of_independent_stays_is_their_rate() -> None:
    times = np.full(200, 4.0)
    assert relaxation(births_and_deaths(2.0, times), times) == pytest.approx(0.25)


@given(st.floats(0.0, 50.0))
def test_averaging_loses_variance(span: float) -> None:
    assert 0.0 < averaging(span) <= 1.0
    assert averaging(span + 0.1) < averaging(span) + 1e-12


def test_averaging_over_a_long_time_keeps_two_relaxation_times() -> None:
    assert averaging(1e4) == pytest.approx(2e-4, rel=1e-3)
