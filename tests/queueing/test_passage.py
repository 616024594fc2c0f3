"""First passage of a renewal process: lattice, long ages, and a sampled process with jumps."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.queueing.passage import Steps, first_passage, overflow


def steps(mean: float, smooth: float = 0.0, jumps: float = 0.0, jump: float = 0.0, spread: float = 0.0) -> Steps:
    variance = smooth + jumps * (jump**2 + spread)
    return Steps(np.array([mean]), np.array([variance]), np.array([smooth]), np.array([jumps]), jump, spread)


@pytest.mark.parametrize(("age", "end"), [(0.0, 1.0), (0.5, 1.0), (1.5, 2.0), (3.4, 4.0)])
def test_equal_steps_form_a_lattice(age: float, end: float) -> None:
    passage = first_passage(steps(1.0), np.array([age]), np.zeros(1))
    assert passage.end[0, 0] == pytest.approx(end, abs=1e-6)
    assert passage.length[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_blurred_age_sees_the_residual_life() -> None:
    passage = first_passage(steps(1.0), np.array([6.3]), np.array([4.0]))
    assert passage.end[0, 0] == pytest.approx(6.3 + 0.5, abs=0.01)


def test_a_long_age_is_length_biased() -> None:
    passage = first_passage(steps(1.0, smooth=0.25), np.array([500.0]), np.zeros(1))
    assert passage.end[0, 0] == pytest.approx(500.0 + 1.25 / 2.0)
    assert passage.length[0, 0] == pytest.approx(1.25)


@pytest.mark.parametrize("age", [0.6, 1.7, 4.0, 11.0])
def test_against_a_sampled_process_with_jumps(age: float) -> None:
    rng = np.random.default_rng(3)
    lengths = 1.0 + 0.1 * rng.standard_normal((40_000, 40)) + 2.0 * rng.poisson(0.3, (40_000, 40))
    ends = np.cumsum(lengths, axis=1)
    first = (ends > age).argmax(axis=1)
    rows = np.arange(first.size)
    passage = first_passage(steps(1.6, smooth=0.01, jumps=0.3, jump=2.0), np.array([age]), np.zeros(1))
    assert passage.end[0, 0] == pytest.approx(ends[rows, first].mean(), rel=0.015)
    assert passage.length[0, 0] == pytest.approx(lengths[rows, first].mean(), rel=0.06)


def test_overflow_against_a_sampled_server() -> None:
    rng = np.random.default_rng(5)
    arrivals = 7.0 + 1.5 * rng.standard_normal(200_000)
    left, total = 0.0, 0.0
    for arrived in arrivals:
        left = max(left + arrived - 8.0, 0.0)
        total += left
    found = overflow(np.array([7.0]), np.array([2.25]), 8, np.array([1e6]))
    assert found[0] == pytest.approx(total / arrivals.size, rel=0.05)


def test_nothing_overflows_far_below_the_cap() -> None:
    assert overflow(np.array([1.0]), np.array([1.0]), 30, np.array([5.0]))[0] < 1e-9


def test_a_fixed_population_overflows_less() -> None:
    free, bridge = (overflow(np.array([7.5]), np.array([4.0]), 8, np.array([h]))[0] for h in (1e6, 4.0))
    assert bridge < 0.5 * free
