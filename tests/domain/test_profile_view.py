"""A profile arranged for reading, against ratios and times worked by hand."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

import pytest

from dsd_plan.domain.profile import LawFit, StepLaw, declared_profile
from dsd_plan.domain.profile_view import LAW_BATCHES, profile_view
from tests.domain.test_profile_difference import point, profile

LAW = LawFit(law=StepLaw(step_ms=2.0, per_token_ms=0.5, per_prompt_token_ms=0.25, per_kv_token_us=10.0))
GRID = (
    point(4.0, half=0.03),
    point(6.0, new=5, half=0.04),
    point(8.0, batch=2, half=0.01),
    point(20.0, batch=2, new=5, half=0.01),
    point(5.0, context_tokens=132, half=0.04),
    point(40.0, new=100, phase="prefill", context_tokens=0, half=0.01),
)


def test_verify_cost_is_a_ratio_with_both_errors() -> None:
    table = profile_view(profile(GRID, fit=LAW)).steps[0]
    assert (table.context_tokens, table.new_tokens) == (32, (1, 5))
    cell = table.rows[0].verify_cost[0]
    assert (cell.new_tokens, cell.ms, cell.origin) == (5, 1.5, "measured")
    assert cell.low == pytest.approx(1.5 * exp(-0.05))
    assert cell.high == pytest.approx(1.5 * exp(0.05))
    assert table.rows[1].verify_cost[0].ms == 2.5


def test_plain_steps_give_tokens_a_second() -> None:
    rows = profile_view(profile(GRID, fit=LAW)).steps[0].rows
    assert [row.tokens_per_s for row in rows] == [250.0, 250.0]


def test_what_was_not_measured_is_marked_and_has_no_interval() -> None:
    view = profile_view(profile(GRID, fit=LAW))
    far = view.steps[1]
    assert far.context_tokens == 132
    assert far.rows[0].cells[0].origin == "measured"
    missing = far.rows[1].cells[1]
    assert missing.origin in ("interpolated", "extrapolated")
    assert (missing.low, missing.high) == (None, None)
    assert far.rows[1].verify_cost[0].origin == missing.origin
    beyond = view.steps[0].beyond
    assert beyond.batch == 4
    assert {cell.origin for cell in beyond.cells} == {"extrapolated"}
    # The edge's 8 ms, scaled by the law: (2 + 4·(0.5 + 0.32)) / (2 + 2·(0.5 + 0.32)).
    assert beyond.cells[0].ms == pytest.approx(8.0 * 5.28 / 3.64)


def test_context_is_a_ratio_to_the_smallest() -> None:
    row = profile_view(profile(GRID, fit=LAW)).context[0]
    assert [cell.context_tokens for cell in row.cells] == [32, 132]
    assert row.cells[1].ratio == 1.25
    assert row.cells[1].high == pytest.approx(1.25 * exp(0.05))
    assert row.cells[0].low is None


def test_one_context_says_nothing_of_context() -> None:
    assert profile_view(profile(GRID[:2], fit=LAW)).context == ()


def test_prompts_are_read_at_tokens_a_second_and_beyond_by_the_law() -> None:
    rows = profile_view(profile(GRID, fit=LAW)).prefill
    assert [(row.prompt_tokens, row.origin, row.beyond) for row in rows] == [
        (100, "measured", False),
        (200, "extrapolated", True),
    ]
    assert rows[0].tokens_per_s == pytest.approx(2500.0)
    assert rows[1].ms == pytest.approx(40.0 * 52.0 / 27.0)


def test_every_point_beside_the_law() -> None:
    view = profile_view(profile(GRID, fit=LAW))
    told = {(p.kind, p.batch, p.context_tokens): p for p in view.points}
    # 2 + 2·(5·0.5 + 32·10/1000) = 7.64 against 20 measured.
    assert told["verify", 2, 32].law_error == pytest.approx(7.64 / 20.0 - 1.0)
    assert told["prefill", 1, 0].law_ms == pytest.approx(27.0)
    assert told["decode", 1, 32].half_width == pytest.approx(0.03, rel=1e-3)


def test_a_chunk_of_a_prompt_reads_its_context() -> None:
    law = LawFit(law=StepLaw(step_ms=2.0, per_prompt_token_ms=0.25, per_kv_token_us=10.0, per_prompt_token_sq_us=1.0))
    chunk = point(40.0, new=100, phase="prefill", context_tokens=50)
    view = profile_view(profile([*GRID, chunk], fit=law))
    # 2 + 25 + (150² − 50²)/1000 + 50·10/1000.
    assert view.points[-1].law_ms == pytest.approx(2.0 + 25.0 + 20.0 + 0.5)
    assert len(view.prefill) == 2


def test_times_are_those_measured_whatever_the_load_scale() -> None:
    loaded = replace(LAW, law=replace(LAW.law, load_scale=2.0))
    assert profile_view(profile(GRID, fit=loaded)).steps == profile_view(profile(GRID, fit=LAW)).steps


def test_trust_counts_what_is_known_within_3_percent() -> None:
    one_drift = {"drift": -0.02, "contention": "load average 5.0 on 2 cores"}
    trust = profile_view(profile(GRID, fit=LAW, method=one_drift)).trust
    assert (trust.points, trust.samples, trust.fewest_samples, trust.most_samples) == (6, 600, 100, 100)
    # Half widths 3, 4, 1, 1, 4, 1 %; sinh(0.03) lies a hair above 3 %.
    assert trust.well_known == 3
    assert trust.median_half_width == pytest.approx((0.01 + 0.03) / 2, rel=1e-3)
    assert trust.widest_half_width == pytest.approx(0.04, rel=1e-3)
    assert trust.intervals == "recorded"
    assert (trust.drift, trust.contention) == (-0.02, "load average 5.0 on 2 cores")


def test_intervals_say_where_they_come_from() -> None:
    assert profile_view(profile([*GRID, point(9.0, batch=4)], fit=LAW)).trust.intervals == "spread"
    alone = profile_view(profile([point(9.0, samples=1)], fit=LAW)).trust
    assert (alone.intervals, alone.well_known, alone.median_half_width) == ("none", None, None)


def test_a_declared_law_is_read_where_it_is_asked_for() -> None:
    view = profile_view(declared_profile("box", "m", LAW.law))
    assert [row.batch for row in view.steps[0].rows] == list(LAW_BATCHES)
    assert {cell.origin for row in view.steps[0].rows for cell in row.cells} == {"declared"}
    assert view.steps[0].rows[1].cells[0].ms == pytest.approx(2.0 + 2 * 0.5)
    assert view.trust.points == 0
    assert view.points == ()


def test_it_is_json() -> None:
    told = profile_view(profile(GRID, fit=LAW)).to_dict()
    assert told["steps"][0]["rows"][0]["verify_cost"][0]["ms"] == 1.5
    assert log(told["steps"][0]["rows"][0]["verify_cost"][0]["high"] / 1.5) == pytest.approx(sqrt(0.03**2 + 0.04**2))
