"""How a total is made up, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.queueing.population import finite_chain, given_total, poisson_chain


def test_two_users_of_whom_one_is_always_there() -> None:
    # One of the two is never away: she is the one present, and the other is there only if two are.
    found = given_total([finite_chain(1, 1.0, 0.0), finite_chain(1, 1.0, 3.0)], 3)
    assert found[1].tolist() == pytest.approx([1.0, 0.0])
    assert found[2].tolist() == pytest.approx([1.0, 1.0])


def test_poisson_streams_share_a_total_in_proportion() -> None:
    found = given_total([poisson_chain(1.0, 30), poisson_chain(3.0, 30)], 12)
    np.testing.assert_allclose(found, np.arange(12)[:, None] * np.array([0.25, 0.75]), atol=1e-9)


def test_where_surely_more_are_present_than_there_are_states_the_total_is_split_as_the_chains_are() -> None:
    """768 users who hardly ever leave, and 8 others: of 20 states none is likely, and nearly all in each are users."""
    many = finite_chain(768, 1000.0, 0.5)
    found = given_total([many, poisson_chain(8.0, 20)], 20)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(np.arange(20))
    assert found[-1, 0] > 18.0
