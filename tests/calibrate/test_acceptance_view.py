"""Recorded acceptance arranged for reading, on traces small enough to be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.calibrate.acceptance_fit import fit_acceptance
from dsd_plan.calibrate.acceptance_view import acceptance_fit_view, acceptance_view
from dsd_plan.calibrate.counts_fit import fit_counts
from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace
from tests.calibrate.laws import METADATA, chain, rounds, tokens

FALLING = np.array([[0.80, 0.56, 0.34, 0.17, 0.07]])
STATES = np.array([[0.45, 0.16], [0.92, 0.85]])
TWO_REQUESTS = RoundTrace(
    METADATA,
    request_id=np.array([0, 0, 0, 1, 1]),
    proposed=np.array([2, 2, 2, 2, 2]),
    accepted=np.array([2, 0, 1, 2, 2]),
)


def test_five_rounds_by_hand() -> None:
    view = acceptance_view(TWO_REQUESTS)
    assert [(row.tried, row.kept) for row in view.positions] == [(5, 4), (4, 3)]
    assert view.rate == pytest.approx(7 / 9)
    assert [row.survival for row in view.positions] == pytest.approx([4 / 5, 3 / 5])
    assert [row.survival_at_one_rate for row in view.positions] == pytest.approx([7 / 9, 49 / 81])
    assert [row.tokens_per_round for row in view.windows] == pytest.approx([1.8, 2.4])
    assert view.windows[1].histogram == (1, 1, 3)
    assert [row.played for row in view.windows] == [False, True]
    assert view.windows[1].histogram_at_one_rate == pytest.approx([5 * 2 / 9, 5 * 14 / 81, 5 * 49 / 81])
    assert view.windows[1].at_one_rate == pytest.approx(1 + 7 / 9 + 49 / 81)


def test_correlation_of_rounds_by_hand() -> None:
    lag = acceptance_view(TWO_REQUESTS).lags[0]
    # About the mean of all, 1.4: −0.84, 0.56 and 0.36 over a variance of 0.64. About each own: −1, 0, 0 over 0.4.
    assert (lag.pairs, lag.correlation, lag.within) == (3, pytest.approx(0.08 / 3 / 0.64), pytest.approx(-1 / 3 / 0.4))


def test_intervals_hold_what_they_are_of() -> None:
    view = acceptance_view(rounds(FALLING, np.zeros((60, 40), dtype=np.int64), 1))
    for row in view.positions:
        assert row.ends[0] <= row.wilson[0] <= row.share <= row.wilson[1] <= row.ends[1]
        assert row.survival_ends[0] <= row.survival <= row.survival_ends[1]
        assert row.survival_ends[0] <= FALLING[0, row.position - 1] <= row.survival_ends[1]
    for size in view.windows:
        assert size.ends is not None
        assert size.ends[0] <= size.tokens_per_round <= size.ends[1]
        assert sum(size.histogram) == size.rounds == pytest.approx(sum(size.histogram_at_one_rate))


def test_requests_that_differ_spread_more_than_chance() -> None:
    alike = acceptance_view(tokens(np.full(80, 0.6), 120, 2)).spread
    unlike = acceptance_view(tokens(np.linspace(0.2, 0.95, 80), 120, 2)).spread
    assert alike is not None
    assert unlike is not None
    wide = [(told.p95 - told.p5) / (told.chance_p95 - told.chance_p5) for told in (alike, unlike)]
    assert 0.7 < wide[0] < 1.3
    assert wide[1] > 2.0
    assert sum(alike.requests) == 80 == pytest.approx(sum(alike.by_chance))


def test_states_that_last_correlate_rounds_and_independent_ones_do_not() -> None:
    lasting = acceptance_view(rounds(STATES, chain(60, 60, 0.9, 3), 3)).lags[0]
    free = acceptance_view(rounds(STATES, np.zeros((60, 60), dtype=np.int64), 3)).lags[0]
    assert lasting.ends is not None
    assert free.ends is not None
    assert lasting.ends[0] > 0.1
    assert free.ends[0] < 0 < free.ends[1]


def test_counters_tell_positions_or_totals() -> None:
    told = acceptance_view(AcceptanceCounts(metadata=METADATA, reached=(100, 90), kept=(80, 54)))
    # All 100 were tried at first; of 90 that proposed a second no more than the 80 kept before it.
    assert [(row.tried, row.kept, row.survival) for row in told.positions] == [(100, 80, 0.8), (80, 54, 0.6)]
    assert (told.requests, told.windows, told.lags, told.spread) == (None, (), (), None)
    totals = acceptance_view(AcceptanceCounts(metadata=METADATA, rounds=10, proposed=40, accepted=20, window=4))
    assert (totals.rate, totals.mean_tokens_per_round, totals.positions) == (0.5, 3.0, ())


def test_a_fit_is_arranged_as_it_was_judged() -> None:
    fit = fit_acceptance(rounds(FALLING, np.zeros((40, 50), dtype=np.int64), 3), 5)
    view = acceptance_fit_view(fit.law, fit, warnings=("one",))
    assert [one.name for one in view.laws] == [one.candidate.name for one in fit.judged]
    assert (view.chosen, view.of(view.chosen).rejected, view.warnings) == ("positional", False, ("one",))
    for row, judged in zip(view.laws, fit.judged, strict=True):
        assert row.rejected == (row.falls_behind or bool(row.outside))
        assert row.worst.error == judged.score.tokens_error
        assert row.worst_choice.slower == max(each.slower for each in judged.choices)
    # The variance of accepted by the fitted curve, over that of the rounds themselves.
    last = view.of("positional").windows[-1]
    assert last.variance_error == pytest.approx(0.0, abs=0.02)


def test_counters_give_a_law_alone() -> None:
    law = fit_counts(AcceptanceCounts(metadata=METADATA, reached=(100, 90), kept=(80, 54)))
    assert acceptance_fit_view(law).laws == ()
