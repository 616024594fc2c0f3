"""What predict, replay, crosscheck and capacity say first, and that many workloads stay one screen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.cli.budget_words import budget_sentence, workload_rows
from dsd_plan.cli.capacity_text import show_capacity
from dsd_plan.cli.crosscheck import agreement_sentence, show_agreements
from dsd_plan.cli.performance_table import show_performance
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.workload import Budgets
from tests.cli.test_capacity import FOUND, TPOT
from tests.report.studies import agreements, performance

Captured = pytest.CaptureFixture[str]
SCREEN_LINES = 40


def many(count: int) -> Performance:
    """Workload w7 is 7 ms slower than w0 in TPOT p95."""
    one = performance("replay", "fused", 4)
    first = one.workloads[0]
    return replace(
        one,
        workloads=tuple(
            replace(first, name=f"w{at}", tpot_ms=replace(first.tpot_ms, p95=40.0 + at)) for at in range(count)
        ),
    )


def test_the_sentence_names_the_tightest_budget() -> None:
    budgets = {f"w{at}": Budgets(tpot_p95_ms=100.0) for at in range(3)}
    assert budget_sentence(many(3), budgets) == (
        "✓ Keeps all 3 latency budgets; the tightest: TPOT p95 of w2 42.0\u202fms of 100\u202fms."
    )
    assert budget_sentence(many(1), {"w0": Budgets(tpot_p95_ms=100.0)}).startswith("✓ Keeps its latency budget; it")


def test_the_sentence_names_what_is_broken_worst_first() -> None:
    budgets = {f"w{at}": Budgets(tpot_p95_ms=41.5) for at in range(9)}
    assert budget_sentence(many(9), budgets) == (
        "✗ Breaks 7 of 9 latency budgets: TPOT p95 of w8 48.0\u202fms of 41.5\u202fms, "
        "TPOT p95 of w7 47.0\u202fms of 41.5\u202fms, TPOT p95 of w6 46.0\u202fms of 41.5\u202fms, and 4 more."
    )


def test_without_budgets_nothing_is_said_of_them() -> None:
    assert budget_sentence(many(2), {"w0": Budgets(), "w1": Budgets()}) == ""


def test_many_workloads_have_a_row_each_the_tightest_first(capsys: Captured) -> None:
    budgets = {f"w{at}": Budgets(tpot_p95_ms=41.5) for at in range(300)}
    rows = workload_rows(many(300), budgets)
    assert [row[0] for row in rows[:2]] == ["w299", "w298"]
    assert rows[0][-1] == "✗ TPOT p95"
    assert rows[-1][-1] == "✓"
    show_performance(many(300), budgets)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert "and 285 more workloads; --json tells all" in lines
    assert max(map(len, lines)) <= 80


def test_the_crosscheck_says_first_whether_model_and_replay_agree(capsys: Captured) -> None:
    rows = agreements()
    assert agreement_sentence(rows) == (
        "Model and replay do not disagree: 5 agree within 5.00\u202f% or 10.0\u202f%, 0 disagree, 1 undecided; "
        "furthest off is TTFT p95 of chat, −9.3\u202f%."
    )
    sure = tuple(row for row in rows if row.verdict == "agrees")
    assert agreement_sentence(sure).startswith("Model and replay agree: 5 agree")
    wrong = (*rows, replace(rows[0], verdict="disagrees", relative_error=0.2))
    assert agreement_sentence(wrong).startswith("Model and replay disagree: ")
    assert "TTFT mean of chat, +20.0" in agreement_sentence(wrong)
    assert "Nothing was compared" in agreement_sentence(())
    show_agreements(tuple(replace(row, workload=f"w{at}") for at in range(50) for row in wrong))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert sum(line.rstrip().endswith("disagrees") for line in lines) == 16
    assert lines[-1] == "and 334 more that are less far off; --json tells all"


def test_of_many_budgets_capacity_tells_those_that_break_first(capsys: Captured) -> None:
    budgets = tuple(replace(TPOT, scope=f"w{at}", load=5.0 - at / 100) for at in range(200))
    show_capacity(replace(FOUND, budgets=budgets))
    lines = capsys.readouterr().out.splitlines()
    told = [line.split()[0] for line in lines if line.startswith("w") and "ms of" in line]
    assert told == [f"w{at}" for at in range(199, 187, -1)]
    assert "and 188 more budgets that break later; --json tells all" in lines
