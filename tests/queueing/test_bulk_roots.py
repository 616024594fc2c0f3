"""M/D^[1,B]/1 by the roots of z^B = exp(a(z − 1)) (Bailey 1954), and M/D/1 as its case B = 1."""

from __future__ import annotations

import cmath
from math import prod

import pytest

from dsd_plan.queueing import bulk, stations


def bailey(offered: float, most: int) -> tuple[float, float]:
    """(P(nobody waits at a service's end), mean number left behind) of X' = (X − B)⁺ + Poisson(a)."""
    roots = []
    for r in range(1, most):
        z, turn = 0.5 + 0.0j, cmath.exp(2j * cmath.pi * r / most)
        for _ in range(500):
            z = turn * cmath.exp(offered * (z - 1.0) / most)
        roots.append(z)
    empty = (most - offered) * prod([z / (z - 1.0) for z in roots], start=1.0 + 0.0j)
    behind = sum(1.0 / (1.0 - z) for z in roots) - (most * (most - 1) - offered**2) / (2.0 * (most - offered))
    return empty.real, complex(behind).real


@pytest.mark.parametrize(("most", "load"), [(2, 0.5), (4, 0.3), (8, 0.8), (16, 0.9)])
def test_gated_service_of_fixed_length_against_the_roots(most: int, load: float) -> None:
    lam, length = load * most / 0.02, 0.02
    found = bulk.gated_open(lam, lambda _: length, most)
    empty, behind = bailey(load * most, most)
    cycle = length + empty / lam
    assert found.empty_at_end == pytest.approx(empty, rel=1e-8)
    assert found.utilisation == pytest.approx(length / cycle, rel=1e-8)
    assert found.waiting == pytest.approx((behind * length + lam * length**2 / 2.0) / cycle, rel=1e-7)


@pytest.mark.parametrize("load", [0.2, 0.7])
def test_batches_of_one_are_pollaczek_and_khinchine(load: float) -> None:
    found = bulk.gated_open(load / 0.02, lambda _: 0.02, 1)
    known = stations.mg1(load / 0.02, 0.02, 0.0)
    assert found.wait == pytest.approx(known.wait, rel=1e-9)
    assert found.sojourn == pytest.approx(known.sojourn, rel=1e-9)
