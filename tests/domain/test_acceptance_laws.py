"""Laws whose rounds depend on one another, against numbers worked by hand, closed forms and draws."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.acceptance_laws import (
    BetaLaw,
    MarkovLaw,
    accepted_pmf_of,
    rate_quantiles,
    round_moments,
    round_states,
    rounds_pmf,
    survival_of,
)

UNIFORM = BetaLaw(a=1.0, b=1.0, largest_window=4, measured_window=4)
# A keeps its proposal in half the rounds, and stays or passes to B evenly; B keeps all and stays.
PASSING = MarkovLaw(
    states=((0.5,), (1.0,)),
    transition=((0.5, 0.5), (0.0, 1.0)),
    start=(1.0, 0.0),
    largest_window=1,
    measured_window=1,
)


def test_rounds_of_two_states_by_hand() -> None:
    # Two tokens: one round if A keeps (1/2), else two. Three: A keeps, then any round: 2. A misses: then from A (1/2)
    # a miss (1/2) needs a third round, 1/8 in all.
    assert rounds_pmf(PASSING, 1, 2) == pytest.approx([0, 0.5, 0.5])
    assert rounds_pmf(PASSING, 1, 3) == pytest.approx([0, 0, 7 / 8, 1 / 8])
    assert round_moments(PASSING, 1, 3).rounds[:, 3] == pytest.approx([17 / 8, 37 / 8, 83 / 8])
    # Rounds begun below 3 tokens: A 1.5625, B 0.5625.
    assert accepted_pmf_of(PASSING, 1, 3) == pytest.approx([0.78125 / 2.125, 1.34375 / 2.125])
    assert round_moments(PASSING, 1, 3).accepted[3] == pytest.approx(1.34375)


@pytest.mark.parametrize(
    "law",
    [
        UNIFORM,
        MarkovLaw(
            states=((0.5, 0.2), (0.9, 0.8)),
            transition=((0.7, 0.3), (0.4, 0.6)),
            start=(0.8, 0.2),
            largest_window=2,
            measured_window=2,
        ),
    ],
)
def test_moments_survival_and_counts_agree(law: BetaLaw | MarkovLaw) -> None:
    pmf = rounds_pmf(law, 2, 17)
    counts = np.arange(pmf.size)
    assert pmf.sum() == pytest.approx(1.0)
    told = round_moments(law, 2, 17)
    assert told.rounds[:, 17] == pytest.approx([pmf @ counts**power for power in (1, 2, 3)])
    survival = survival_of(law, 2, 17)
    assert told.accepted[17] / told.rounds[0, 17] == pytest.approx(survival.sum())


def test_first_round_of_uniform_rates() -> None:
    # E[α] = 1/2, E[α²] = 1/3 of the only round that one token takes.
    assert survival_of(UNIFORM, 2, 1) == pytest.approx([1 / 2, 1 / 3], abs=1e-5)
    # Long requests: rounds are weighed by 1/(1 + α), so that tokens a round is 1 / ln 2.
    assert 1 + survival_of(UNIFORM, 1, 4000).sum() == pytest.approx(1 / np.log(2), rel=1e-3)


def test_quantiles_of_rates() -> None:
    assert rate_quantiles(UNIFORM, 4) == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])


def test_drawing_by_the_tables_plays_the_law() -> None:
    states = round_states(PASSING, 1)
    start, accepted, transition = states.start_cdf(), states.accepted_cdf(), states.transition_cdf()
    assert transition is not None
    rng = np.random.default_rng(1)
    needed = np.zeros(4)
    for _ in range(4000):
        state, emitted, rounds = int(np.searchsorted(start, rng.random(), side="right")), 0, 0
        while emitted < 3:
            emitted += 1 + int(np.searchsorted(accepted[state], rng.random(), side="right"))
            state = int(np.searchsorted(transition[state], rng.random(), side="right"))
            rounds += 1
        needed[rounds] += 1
    assert needed / 4000 == pytest.approx([0, 0, 7 / 8, 1 / 8], abs=0.02)


def test_windows_past_the_largest_are_refused() -> None:
    with pytest.raises(ValueError, match=r"window 2 lies outside .* \(1–1\)"):
        round_states(PASSING, 2)
    with pytest.raises(ValueError, match="window 5"):
        rounds_pmf(UNIFORM, 5, 10)
