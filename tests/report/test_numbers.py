"""How numbers read, on the page and in the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st

from dsd_plan.domain.performance import Interval
from dsd_plan.report.numbers import (
    THIN,
    given,
    given_quantity,
    interval,
    label,
    milliseconds,
    number,
    quantity,
    share,
    signed_share,
)


def spaced(text: str) -> str:
    return text.replace(THIN, " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0.0, "0"),
        (31.42, "31.4"),
        (31.0, "31.0"),
        (9.996, "10.0"),
        (999.6, "1,000"),
        (2899.6, "2,900"),
        (123456.0, "123,000"),
        (0.0412, "0.0412"),
        (0.0004, "0.000400"),
        (0.00004, "4.00e−05"),
        (-5.5, "−5.50"),
    ],
)
def test_three_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@given_values(st.floats(min_value=1e-4, max_value=1e9))
def test_what_is_read_is_within_half_a_digit_of_what_was_meant(value: float) -> None:
    shown = float(number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.5, "0.500 ms"), (999.4, "999 ms"), (999.6, "1.00 s"), (1274.0, "1.27 s")],
)
def test_times_take_the_unit_that_reads_best(value: float | None, text: str) -> None:
    assert spaced(milliseconds(value)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(45.0, "45"), (0.72, "0.72"), (1200.0, "1,200"), (7.5, "7.5"), (0.0, "0"), (1e-7, "1e−07")]
)
def test_what_somebody_wrote_down_is_shown_as_it_was_written(value: float, text: str) -> None:
    assert given(value) == text


def test_a_share_is_a_percentage() -> None:
    assert spaced(share(0.9724)) == "97.2 %"
    assert spaced(given_quantity("goodput_share", 0.95)) == "95 %"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0186, "+1.9 %"), (-0.093, "−9.3 %"), (-0.0001, "0.0 %"), (None, "–"), (float("inf"), "∞ %")]
)
def test_a_change_has_its_sign(value: float | None, text: str) -> None:
    assert spaced(signed_share(value)) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("tpot_ms.p95", 31.42, "31.4 ms"),
        ("ttft_p95_ms", 1800.0, "1.80 s"),
        ("goodput_share", 0.5, "50.0 %"),
        ("slo_attainment", 0.5, "50.0 %"),
        ("energy_j_per_token", 2.5, "2.50 J"),
        ("cost_per_hour", 5.2, "5.20"),
        ("tokens_per_round", 2.94, "2.94"),
        ("power_w", None, "–"),
    ],
)
def test_a_quantity_has_the_unit_of_its_name(name: str, value: float | None, text: str) -> None:
    assert spaced(quantity(name, value)) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ttft_p95_ms", "TTFT p95"),
        ("ttft_ms.p95", "TTFT p95"),
        ("e2e_ms.mean", "E2E mean"),
        ("tpot_ms", "TPOT"),
        ("cost_per_hour", "cost an hour"),
        ("tokens_per_round", "tokens a round"),
        ("something_else", "something else"),
    ],
)
def test_one_name_for_a_budget_and_its_metric(name: str, text: str) -> None:
    assert label(name) == text


def test_both_ends_of_an_interval_have_one_unit() -> None:
    assert spaced(interval("ttft_ms.mean", Interval(point=1010.0, low=980.0, high=1040.0))) == "980–1,040 ms"
    assert spaced(interval("ttft_ms.mean", Interval(point=1200.0, low=1100.0, high=1300.0))) == "1.10–1.30 s"
    assert spaced(interval("goodput_share", Interval(point=0.9, low=0.88, high=0.92))) == "88.0–92.0 %"


def test_an_interval_without_width_is_not_shown() -> None:
    assert interval("tpot_ms.p95", Interval(point=5.2, low=5.2, high=5.2)) == "–"
    assert interval("tpot_ms.p95", None) == "–"
