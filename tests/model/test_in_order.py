"""Tokens shown in order, against a stream of a million tokens and against limits worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.model.in_order import gap_variance, last_token_lag, share_in_order


@pytest.mark.parametrize("jitter", [0.1, 0.5, 1.0, 3.0, 15.0])
def test_a_long_stream_agrees(jitter: float) -> None:
    chance = np.random.default_rng(1)
    sent = np.arange(1_000_000, dtype=np.float64)
    arrived = sent + jitter * chance.exponential(size=sent.size)
    shown = np.maximum.accumulate(arrived)
    distinct = np.unique(shown)
    gaps = np.diff(distinct)
    lags = (shown - arrived)[1000:]
    assert share_in_order(1.0, jitter) == pytest.approx(distinct.size / sent.size, rel=0.01)
    assert last_token_lag(1.0, jitter, 10_000).mean == pytest.approx(lags.mean(), rel=0.01, abs=0.004 * jitter)
    # (T − X)⁺ assumes one late token at a time.
    assert gap_variance(1.0, jitter) == pytest.approx(gaps.var(), rel=0.08)


def test_two_tokens_at_once_wait_for_the_later_one() -> None:
    # max of two Exp(1) has mean 3/2 and variance 5/4; one token alone has 1 and 1
    lag = last_token_lag(1e-9, 1.0, 2)
    assert lag.mean == pytest.approx(0.5, abs=1e-3)
    assert lag.variance == pytest.approx(0.25, abs=2e-3)


def test_without_jitter_nothing_waits() -> None:
    assert share_in_order(1.0, 0.0) == 1.0
    assert last_token_lag(1.0, 0.0, 100).mean == 0.0
    assert gap_variance(1.0, 0.0) == 0.0


def test_small_jitter_moves_both_ends_of_a_gap() -> None:
    assert gap_variance(1.0, 0.05) == pytest.approx(2 * 0.05**2, rel=1e-3)
