"""The bound is a bound and the plan is a plan: against every assignment there is, on arrays small enough to try all."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dsd_plan.optimize.wide.assign import Assignment, assign, prices_of, reassign, refilled
from dsd_plan.optimize.wide.offers import Offers


def drawn(seed: int, workloads: int = 6, targets: int = 3) -> tuple[Offers, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (workloads, targets, 2)
    value = rng.uniform(0.0, 1.0, shape)
    value[rng.random(shape) < 0.2] = np.inf
    value[:, 0, 0] = 1.0  # everybody can be served somewhere
    none = np.zeros(shape, dtype=np.int64)
    offers = Offers(
        value=value,
        use=rng.uniform(0.1, 0.9, shape),
        level=none,
        gear=none,
        rate=np.zeros(shape),
        seen=np.zeros((*shape, 1)),
        price=rng.uniform(0.5, 2.0, targets),
    )
    return offers, np.array([6.0, 1.0, 2.0])


def cheapest(offers: Offers, counts: np.ndarray) -> float:
    """Every assignment tried, replicas whole."""
    best = np.inf
    ways = list(product(range(offers.value.shape[1]), range(offers.value.shape[2])))
    for chosen in product(ways, repeat=offers.value.shape[0]):
        load = np.zeros(counts.size)
        total = 0.0
        for w, (t, o) in enumerate(chosen):
            load[t] += offers.use[w, t, o]
            total += offers.value[w, t, o]
        whole = np.ceil(load - 1e-9)
        if (whole <= counts).all():
            best = min(best, total + float(whole @ offers.price))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_lies_below_the_best_plan_and_the_plan_near_it(seed: int) -> None:
    offers, counts = drawn(seed, workloads=5)
    best = cheapest(offers, counts)
    prices = prices_of(offers, counts)
    found = assign(offers, counts, prices.scarcity)
    assert found is not None
    assert prices.bound <= best + 1e-9
    closely = prices_of(offers, counts, prices.scarcity, closely=True)
    assert prices.bound - 1e-9 <= closely.bound <= best + 1e-9
    assert best - 1e-9 <= found.objective <= 1.5 * best
    load = np.bincount(found.target, weights=found.use, minlength=3)
    assert (load <= found.replicas + 1e-9).all()
    assert (found.replicas <= counts).all()


def test_prices_make_scarce_targets_dear() -> None:
    """Two workloads want the one cheap replica, of which each takes all; one of them has to pay 3 for the other."""
    value = np.array([[[0.0], [3.0]], [[0.0], [5.0]]])
    none = np.zeros((2, 2, 1), dtype=np.int64)
    use = np.ones((2, 2, 1))
    offers = Offers(value, use, none, none, use, np.zeros((2, 2, 1, 1)), price=np.array([1.0, 1.0]))
    counts = np.array([1.0, 2.0])
    prices = prices_of(offers, counts)
    assert prices.bound == pytest.approx(5.0, rel=1e-3)  # 1 + 1 for the replicas, 3 for the first workload's way
    assert 3.0 - 1e-2 <= prices.scarcity[0] <= 5.0 + 1e-2
    found = assign(offers, counts, prices.scarcity)
    assert found is not None
    assert found.target.tolist() == [1, 0]
    assert found.objective == pytest.approx(5.0)


def test_who_is_placed_anew_fills_what_is_there_before_more_is_bought() -> None:
    value = np.array([[[0.0], [0.0]], [[0.0], [0.4]]])
    none = np.zeros((2, 2, 1), dtype=np.int64)
    use = np.full((2, 2, 1), 0.5)
    offers = Offers(value, use, none, none, use, np.zeros((2, 2, 1, 1)), price=np.array([1.0, 1.0]))
    counts = np.array([1.0, 1.0])
    known = assign(offers, counts, np.zeros(2))
    assert known is not None
    assert known.replicas.sum() == 1.0
    # The second may no longer be on the first target: it goes to the other, at the price of a replica.
    value[1, 0] = np.inf
    moved = reassign(offers, counts, np.zeros(2), known, np.array([False, True]))
    assert moved is not None
    assert moved.target[1] == 1
    value[1, 1] = np.inf
    assert reassign(offers, counts, np.zeros(2), known, np.array([False, True])) is None


def test_no_room_is_no_plan() -> None:
    offers, _ = drawn(0)
    assert assign(offers, np.array([0.2, 0.2, 0.2]), np.zeros(3)) is None


def loaded(*use: float) -> Offers:
    """A workload a target, each of which may go to any target, at the same use and no cost of its own."""
    shape = (len(use), len(use), 1)
    none = np.zeros(shape, dtype=np.int64)
    everywhere = np.broadcast_to(np.array(use)[:, None, None], shape).copy()
    return Offers(np.zeros(shape), everywhere, none, none, np.zeros(shape), np.zeros((*shape, 1)), np.ones(len(use)))


def placed_apart(offers: Offers) -> Assignment:
    size = offers.price.size
    own = np.arange(size)
    use = offers.use[own, own, 0]
    return Assignment(own, np.zeros(size, dtype=np.int64), np.zeros(size), use, float(size), np.ones(size))


def test_a_replica_is_given_up_where_another_has_room_for_what_uses_it() -> None:
    offers = loaded(0.4, 0.6, 0.7)
    found = refilled(offers, placed_apart(offers))
    assert found.objective == pytest.approx(2.0)
    assert found.target[0] == found.target[1] != found.target[2]


def test_a_little_too_much_is_not_too_much_where_that_is_allowed() -> None:
    offers = loaded(0.5, 0.515)
    known = placed_apart(offers)
    assert refilled(offers, known).objective == pytest.approx(2.0)
    assert refilled(offers, known, 0.02).objective == pytest.approx(1.0)
    assert refilled(offers, known, 0.01).objective == pytest.approx(2.0)


def test_with_replicas_fuller_by_a_share_the_bound_is_lower_by_it_and_still_a_bound() -> None:
    offers, counts = drawn(1, workloads=5)
    fuller = replace(offers, use=offers.use / 1.02)
    assert prices_of(fuller, counts, closely=True).bound <= cheapest(fuller, counts) + 1e-9
    assert prices_of(fuller, counts, closely=True).bound <= prices_of(offers, counts, closely=True).bound + 1e-9
