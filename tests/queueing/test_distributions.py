"""The normal and gamma laws against exact values, and mixtures against their own definition."""

from __future__ import annotations

from math import erf, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.queueing.distributions import (
    Mixture,
    cdf,
    mean_of,
    moments_of,
    normal,
    quantiles,
    single,
    skewness,
    together,
)

MIXTURES = st.lists(
    st.tuples(st.floats(0.1, 1.0), st.floats(0.0, 50.0), st.floats(0.1, 30.0), st.floats(0.0, 2.0)),
    min_size=2,
    max_size=5,
).map(lambda rows: Mixture(*np.array(rows).T))


def test_normal_law() -> None:
    z = np.linspace(-6.0, 6.0, 241)
    chance, density = normal(z)
    assert chance == pytest.approx([0.5 + 0.5 * erf(x / sqrt(2.0)) for x in z], abs=2e-7)
    assert density.sum() * 0.05 == pytest.approx(1.0, abs=1e-6)


def test_an_exponential_law_is_a_gamma_of_skew_2() -> None:
    p50, p95, p99 = quantiles(single(1.0, 1.0, 2.0), (0.50, 0.95, 0.99))
    assert (p50, p95, p99) == pytest.approx((log(2.0), log(20.0), log(100.0)), rel=0.02)
    assert cdf(single(1.0, 1.0, 2.0), np.array([log(20.0)]))[0] == pytest.approx(0.95, abs=0.003)


@given(MIXTURES, st.sampled_from([0.50, 0.95, 0.99]))
def test_quantiles_invert_the_cdf(mixture: Mixture, probability: float) -> None:
    (found,) = quantiles(mixture, (probability,))
    assert cdf(mixture, np.array([found]))[0] == pytest.approx(probability, abs=2e-3)


@given(MIXTURES)
def test_a_mixture_is_in_order_and_keeps_its_mean(mixture: Mixture) -> None:
    low, middle, high = quantiles(mixture, (0.50, 0.95, 0.99))
    assert low <= middle <= high
    assert moments_of(mixture)[0] == pytest.approx(mean_of(mixture))


def test_moments_of_two_points() -> None:
    mixture = together([single(0.0, 1.0).scaled(3.0), single(4.0, 1.0).scaled(1.0)])
    # Mean 1; variance 1 + 3; third moment 3·1·0 + (−1)³·3/4 + 3³/4.
    assert moments_of(mixture) == pytest.approx((1.0, 4.0, 6.0))


def test_skewness_is_kept_within_bounds() -> None:
    assert skewness(np.array([1.0, 1.0, 0.0]), np.array([-1.0, 99.0, 0.0])).tolist() == [0.0, 3.5, 0.0]
