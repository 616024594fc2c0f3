"""What is left out of a run's beginning: MSER by hand, and cold starts that the usual share does not cover."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.run import replay
from dsd_plan.replay.warm_up import FEWEST_BATCHES, Series, chosen_cut, mser
from tests.replay.builder import poisson, system

CUTS = (100, 125, 150, 175, 200, 225, 250)


def test_mser_by_hand() -> None:
    """Batches 9, 5, 1, 1, 2, 1, 2, 1: d = 0 gives 60.5/8² …, and least of all after the first two: 1.33/6²."""
    means = np.array([9.0, 5.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0])
    score = [((means[d:] - means[d:].mean()) ** 2).sum() / (8 - d) ** 2 for d in range(4)]
    assert score[0] == pytest.approx(57.5 / 64)
    assert score[2] == pytest.approx(4 / 3 / 36)
    assert int(np.argmin(score)) == 2
    assert mser(np.repeat(means, 5)) == 10
    assert mser(np.full(100, 3.0)) == 0
    assert mser(np.zeros(12)) == 0


def test_mser_finds_no_end_of_a_trend() -> None:
    assert mser(np.arange(500.0)) > 250


def replications(
    transient: float, noise: float, length: int = 500, count: int = 8, lasts: float = 35.0
) -> list[Series]:
    random = np.random.default_rng(11)
    shape = 10.0 + transient * np.exp(-np.arange(length) / lasts)
    return [Series(shape + random.normal(0.0, noise, length), CUTS, 1) for _ in range(count)]


def test_a_beginning_that_lasts_longer_is_left_out_longer() -> None:
    """30 · exp(−t/35) above a mean of 10: 1.7 on average from 100 to 175, .2 then, less than .05 from 225 on."""
    cut = chosen_cut({"chat": replications(30.0, 1.0)})
    assert CUTS[cut.place] in (175, 200, 225)
    assert cut.series == "chat"
    assert cut.excess == pytest.approx(0.065, abs=0.04)


def test_where_no_end_is_seen_the_last_cut_is_made_if_what_is_left_stands_still() -> None:
    slow, growing = replications(30.0, 1.0, lasts=60.0), replications(30.0, 1.0, lasts=400.0)
    assert mser(np.mean([series.means for series in slow], axis=0)) > CUTS[-1]
    assert CUTS[chosen_cut({"chat": slow}).place] == 250
    assert chosen_cut({"chat": growing}).place == 0
    assert chosen_cut({"chat": slow[:1]}).place == 0


@pytest.mark.parametrize("count", [1, 8])
def test_a_steady_series_keeps_its_beginning(count: int) -> None:
    for length in (500, 4 * FEWEST_BATCHES, 3):
        assert chosen_cut({"chat": replications(0.0, 4.0, length, count)}).place == 0


def test_a_transient_within_the_usual_share_changes_nothing() -> None:
    early = [replace_start(series) for series in replications(0.0, 1.0)]
    assert chosen_cut({"chat": early}).place == 0


def replace_start(series: Series) -> Series:
    means = series.means.copy()
    means[:60] += 40.0
    return series._replace(means=means)


def test_the_latest_of_the_workloads_decides() -> None:
    series = {"quick": replications(0.0, 1.0), "slow": replications(30.0, 1.0)}
    assert chosen_cut(series).series == "slow"


def test_a_cold_start_is_left_out_and_said() -> None:
    """20 requests/s that stay 17 s: 330 are live at last, .4 of them when the usual fifth of 1000 has come.

    A lone request takes 10 s; live sessions L = 20 · E2E, E2E = 100 · (.1 + .0002 · L), so E2E = 16.7 s.
    """
    law = StepLaw(step_ms=100.0, per_token_ms=0.2)
    cold = system(poisson(20.0, 10, 100), mode="target_only", target=law, cap=4096)
    performance = replay(cold, requests=1000, replications=6)
    assert performance.steady
    assert performance.notes[0].startswith("the first 50% of each replication was left out instead of 20%")
    chat = performance.workload("chat")
    assert chat.requests == 6 * 500
    assert chat.e2e_ms.mean == pytest.approx(16667.0, rel=0.02)
