"""Captions of trace pages, word by word, for numbers that are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence
from dsd_plan.domain.acceptance_view import (
    AcceptanceFitView,
    AcceptanceView,
    LagRow,
    LawAtWindow,
    LawRow,
    PositionRow,
    RecordedTokens,
    WindowChosen,
    WindowRow,
)
from dsd_plan.domain.workload_view import DispersionRow, MadeDispersion
from dsd_plan.report.acceptance_figures import histogram_chart, shown_windows, tokens_chart
from dsd_plan.report.acceptance_fit_page import one_rate_words
from dsd_plan.report.law_figures import choices_chart, law_tokens_chart, likelihood_chart
from dsd_plan.report.trace_page import spanning
from dsd_plan.report.trace_words import bursts, ends_words, pair_words, span_words, trend, why_chosen, why_rejected
from dsd_plan.report.workload_figures import dispersion_words
from dsd_plan.report.workload_fit_page import dispersion_words as fit_words
from tests.calibrate.laws import METADATA


def position(at: int, kept: int, ends: tuple[float, float]) -> PositionRow:
    return PositionRow(at, 1000, kept, ends, None, 0.5, (0.4, 0.6), 0.5)


FIRST = position(1, 800, (0.775, 0.824))


@pytest.mark.parametrize(
    ("last", "begins"),
    [
        (
            position(4, 400, (0.37, 0.43)),
            "It falls: 80.0\u202f% (77.5–82.4\u202f%) of first proposals are kept, and 40.0",
        ),
        (position(4, 900, (0.88, 0.92)), "It rises: 80.0"),
        (position(4, 810, (0.78, 0.84)), "Not that the trace could tell: 80.0"),
    ],
)
def test_whether_acceptance_falls_with_position(last: PositionRow, begins: str) -> None:
    assert trend([FIRST, last]).startswith(begins)
    assert trend([FIRST, last]).endswith("at position 4 once all before it were.")
    assert trend([FIRST]).endswith("and no others were made.")


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((0.08, 0.12), "Yes: the correlation of one round with the next is 0.100 (0.0800–0.120)."),
        (
            (-0.02, 0.22),
            "Not that the trace could tell: the correlation of one round with the next is 0.100 (−0.0200 to",
        ),
        (None, "Of one request alone nobody can tell how sure it is, but the correlation"),
    ],
)
def test_whether_a_good_round_follows_a_good_one(ends: tuple[float, float] | None, says: str) -> None:
    view = AcceptanceView("round trace", METADATA, 9, 90, 0.7, None, 4, (), lags=(LagRow(1, 80, 0.1, ends, 0.0),))
    assert bursts(view).startswith(says)
    other = replace(view, lags=(LagRow(1, 80, -0.1, (-0.12, -0.08), 0.0),))
    assert bursts(other).startswith("No, they alternate")


WINDOWS = (
    WindowRow(1, True, 1000, 1.7, (1.6, 1.8), 1.6, (300, 700), (400.0, 600.0)),
    WindowRow(2, True, 900, 2.2, (2.1, 2.3), 1.96, (270, 180, 450), (360.0, 216.0, 324.0)),
)


def test_what_windows_yield() -> None:
    chart = tokens_chart(WINDOWS)
    assert chart.answer == (
        "1.70 (1.60–1.80) with window 1, 2.20 (2.10–2.30) with 2; one rate would tell 1.96 instead of 2.20 at window 2."
    )
    assert histogram_chart(WINDOWS[1]).answer == (
        "30.0\u202f% of 900 rounds keep nothing and 50.0\u202f% keep all; "
        "at one rate it would be 40.0\u202f% and 36.0\u202f%."
    )
    assert chart.data[-1]["marker"]["color"] == ["var(--pair-1)"] * 2
    cut = tokens_chart((replace(WINDOWS[0], played=False), WINDOWS[1]))
    assert cut.data[-1]["marker"]["color"] == ["var(--paper)", "var(--pair-1)"]
    assert "Hollow dots cut the recorded rounds short" in cut.how_to_read
    assert shown_windows(WINDOWS) == WINDOWS[1:]
    longer = (*WINDOWS, replace(WINDOWS[1], window=3))
    assert shown_windows(longer) == longer[1:]
    assert shown_windows((WINDOWS[0], replace(WINDOWS[1], played=False), longer[2])) == longer[2:]
    assert shown_windows(WINDOWS[:1]) == WINDOWS[:1]


def law_row(name: str, parameters: int, *, behind: float, error: float, outside: bool, slower: float) -> LawRow:
    return LawRow(
        name=name,
        parameters=parameters,
        bits_behind=behind,
        standard_error=0.01,
        rejected=behind > 0.01645 or outside,
        falls_behind=behind > 0.01645,
        windows=(
            LawAtWindow(1, 1.7, 0.0, False, 0.1, 0.2),
            LawAtWindow(2, 2.2 * (1 + error), error, outside, -0.3, None),
        ),
        choices=(WindowChosen(0.05, 0.5, 1 if slower else 2, 2, slower), WindowChosen(0.1, 0.5, 2, 2, 0.0)),
    )


ONE = law_row("independent", 1, behind=0.2, error=0.08, outside=True, slower=0.042)
BY_POSITION = law_row("positional", 2, behind=0.0, error=0.01, outside=False, slower=0.0)
LAW = FittedLaw(
    metadata=METADATA,
    kind="positional",
    measured_window=2,
    largest_window=2,
    survival=(0.7, 0.5),
    evidence=LawEvidence(requests=20, rounds=900),
)
FIT = AcceptanceFitView(
    law=LAW,
    laws=(ONE, BY_POSITION),
    chosen="positional",
    emitted_tokens=100,
    recorded=(RecordedTokens(1, 1.7, 1.6, 1.8), RecordedTokens(2, 2.2, 2.1, 2.3)),
)


def test_which_law_is_taken_and_why() -> None:
    assert why_chosen(FIT) == "It is the simplest that the trace does not reject; one rate did not pass."
    assert why_rejected(ONE) == (
        "it falls 0.200 ± 0.0100 bits a round behind on unseen requests; its tokens a round lie outside the trace's "
        "99 % interval at window 2"
    )
    assert why_rejected(BY_POSITION) == "nothing speaks against it"
    simplest = replace(FIT, laws=(replace(ONE, rejected=False), BY_POSITION), chosen="independent")
    assert why_chosen(simplest).startswith("It is the simplest of all that were tried")
    asked = replace(FIT, chosen="independent", asked_for=True)
    assert why_chosen(asked).startswith("It was asked for by name; the trace rejects it: it falls 0.200")
    none = replace(FIT, laws=(ONE,), chosen="independent")
    assert why_chosen(none).startswith("The trace rejects every law that was tried; this one has the best held-out")


def test_what_one_rate_would_have_cost() -> None:
    assert one_rate_words(FIT) == (
        "One rate for every proposal would be off by +8.0\u202f% of tokens a round, and would at worst choose window 1 "
        "where 2 is best, 4.20\u202f% slower."
    )
    free = replace(FIT, laws=(law_row("independent", 1, behind=0.2, error=-0.08, outside=True, slower=0.0),))
    assert one_rate_words(free) == (
        "One rate for every proposal would be off by −8.0\u202f% of tokens a round, and would still choose the best "
        "window everywhere."
    )


def test_captions_of_a_fit() -> None:
    assert likelihood_chart(FIT).answer == (
        "The best is rates by position; the last, one rate, is 0.200 bits a round behind (standard error 0.0100)."
    )
    assert law_tokens_chart(FIT).answer == (
        "One rate is off by +8.0\u202f% at window 2, the law taken, rates by position, by +1.0\u202f% at window 2."
    )
    assert choices_chart(ONE).answer == (
        "One rate would choose another window than the best in 1 of 2 cases; "
        "at worst 1 instead of 2, 4.20\u202f% slower."
    )
    assert choices_chart(BY_POSITION).answer == "Rates by position would choose the best window everywhere, 2 times."
    band = law_tokens_chart(FIT).data[0]
    # There along the upper ends, back along the lower: 1.8/1.7 and 2.3/2.2, then 2.1/2.2 and 1.6/1.7.
    assert band["y"] == pytest.approx([5.882, 4.545, -4.545, -5.882], abs=1e-3)


def dispersion(*indices: float) -> list[DispersionRow]:
    return [DispersionRow(3.0**at, 100, index, (0.8 * index, 1.25 * index)) for at, index in enumerate(indices)]


@pytest.mark.parametrize(
    ("indices", "begins"),
    [
        (
            (1.0, 1.1, 0.9),
            "Not that the trace could tell: the variance of counts is 1.00 (0.800–1.25) times their mean",
        ),
        ((2.0, 6.0, 18.0), "Yes, longer than the trace can tell: "),
        ((2.0, 6.0, 6.5), "Up to about 3.00 s: "),
    ],
)
def test_how_long_bursts_last(indices: tuple[float, ...], begins: str) -> None:
    assert dispersion_words(dispersion(*indices)).startswith(begins)


def test_whether_the_laws_bursts_are_the_recordings() -> None:
    rows = [MadeDispersion(1.0, 2.0, 2.1, 1.5, 2.5), MadeDispersion(300.0, 40.0, 20.0, 10.0, 30.0)]
    assert fit_words(rows) == (
        "Over 1 of 2 stretches of time the recording lies among the law's streams; over 5.00 minutes its counts vary "
        "40.0 times their mean, the law's 10.0–30.0."
    )


def test_spans_intervals_and_pairs_in_words() -> None:
    assert [span_words(s) for s in (0.004, 45.0, 600.0, 9000.0, 700_000.0)] == [
        "4.00 ms",
        "45.0 s",
        "10.0 minutes",
        "2.50 hours",
        "8.10 days",
    ]
    assert (ends_words(None), ends_words((-0.5, 0.25))) == ("", " (−0.500 to 0.250)")
    assert pair_words(replace(METADATA, temperature=0.5)).endswith("argmax proposals, temperature 0.5")


def test_an_axis_holds_zero_and_all_values() -> None:
    assert spanning([1.0, 4.0]) == [0.0, pytest.approx(4.24)]
    assert spanning([-1.0], (1.0,)) == pytest.approx([-1.12, 1.12])
