"""The terminal says the same in one screen of 80 columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dsd_plan.domain.performance import Interval
from dsd_plan.domain.study import Study
from dsd_plan.report import render_html, render_text
from dsd_plan.report.terminal import WIDTH, cut, wrapped
from tests.report.rich import rich_study
from tests.report.studies import full_study, hostile, measured_study, tiny_study

GOLDEN = Path(__file__).parent / "golden"
SCREEN_LINES = 40


@pytest.mark.parametrize(
    ("name", "study"), [("two-clinics", full_study()), ("this-machine", measured_study()), ("tiny", tiny_study())]
)
def test_the_text_is_as_it_was(name: str, study: object) -> None:
    assert render_text(study) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")  # type: ignore[arg-type]


@pytest.mark.parametrize("study", [full_study(), measured_study(), tiny_study(), hostile(full_study())])
def test_it_fits_80_columns(study: object) -> None:
    assert max(cell_len(line) for line in render_text(study).splitlines()) <= WIDTH  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 96, 120])
@pytest.mark.parametrize("study", [full_study(), measured_study(), tiny_study(), hostile(full_study())])
def test_it_uses_the_width_that_there_is(study: Study, width: int) -> None:
    assert max(cell_len(line) for line in render_text(study, width).splitlines()) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_no_name_of_an_option_is_cut(width: int) -> None:
    words = " ".join(render_text(full_study(), width).split())
    assert "do nothing: plain decoding" in words
    assert "on the target 4 × gpu-server" in words if width == 80 else "decoding on the target 55.4 ms ✗" in words
    for option in full_study().options[1:]:
        assert option.name in words


def test_an_option_without_numbers_takes_no_row_of_dashes() -> None:
    lines = render_text(full_study()).splitlines()
    assert "  edge alone: not assessed: the draft's own text is another answer than the" in lines
    assert "      2 × gpu-server: while every draft device is down, the rest has no steady" in lines


def test_of_many_budgets_the_broken_and_the_tightest_are_told() -> None:
    study = full_study()
    check = study.budgets[1]
    many = tuple(
        replace(
            check,
            scope=f"w{at}",
            limit=45.0 + at,
            replayed=Interval(point=44.0, low=43.0, high=45.0),
            kept=at != 30,
        )
        for at in range(60)
    )
    lines = [line for line in render_text(replace(study, budgets=many)).splitlines() if line.startswith(("✓", "✗"))]
    told = [line.split(" of ")[1].split()[0] for line in lines if " of " in line]
    assert told == ["w30", *(f"w{at}" for at in range(7))]
    assert "  and 52 more budgets, all kept" in render_text(replace(study, budgets=many)).splitlines()


def test_four_budgets_are_four_rows() -> None:
    study = full_study()
    four = (*study.budgets, replace(study.budgets[0], budget="e2e_p95_ms", limit=9000.0))
    assert (
        len([line for line in render_text(replace(study, budgets=four)).splitlines() if line.startswith(("✓", "✗"))])
        == 4
    )


def test_it_fits_a_screen() -> None:
    assert len(render_text(full_study()).splitlines()) <= SCREEN_LINES


def test_no_name_can_steer_the_terminal() -> None:
    text = render_text(hostile(full_study()))
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text) is None


def test_a_broken_budget_comes_first_and_reads_without_colour() -> None:
    lines = render_text(measured_study()).splitlines()
    first = next(line for line in lines if line.startswith(("✓", "✗")))
    assert first.startswith("✗ TPOT p95 of chat")


def test_a_replay_without_steady_state_is_said() -> None:
    study = full_study()
    assert "no steady state" in render_text(replace(study, replayed=replace(study.replayed, steady=False)))


@given(st.text(max_size=300), st.integers(min_value=0, max_value=30))
def test_wrapping_loses_no_word_and_keeps_the_width(text: str, indent: int) -> None:
    lines = wrapped(text, indent=indent)
    assert all(cell_len(line) <= WIDTH for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_what_is_cut_says_so() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert wrapped("word " * 100, most=2)[-1].endswith("…")


def test_a_plan_for_more_than_todays_load_says_at_which_its_numbers_are() -> None:
    """Load curves stay against today's load; the replay is at the planned one."""
    study = full_study()
    curves = tuple(replace(c, points=tuple(replace(p, load=1.5 * p.load) for p in c.points)) for c in study.curves)
    planned = replace(rich_study(), curves=curves, planned_load=1.5, capacity=None)
    text = " ".join(render_text(planned).split())
    assert "A robust plan: numbers are told with every input at its bad end, at 1.5 × today's load." in text
    assert "up to 2.1 × today's load and is the first to break, at 2.25 ×." in text
    assert "41.0 % are used at the planned 1.5 × today's load." in text
    assert "used today" not in text
    page = render_html([planned])
    assert "A robust plan: numbers are told with every input at its bad end" in page
    assert ">planned 1.5× " in page
    assert ">today 36" not in page
