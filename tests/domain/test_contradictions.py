"""Scenarios that can be read, and of which no plan can make anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.contradictions import contradictions
from dsd_plan.domain.workload import Budgets
from tests.domain.clinic import REQUESTS, SCENARIO, part


def test_a_sound_scenario_has_none() -> None:
    assert contradictions(SCENARIO) == ()


@pytest.mark.parametrize(("free_gib", "said"), [(150 * 0.5 / 1024, 0), (149 * 0.5 / 1024, 1)])
def test_a_request_that_no_memory_holds_is_named(free_gib: float, said: int) -> None:
    """One request is 100 + 50 tokens of 0.5 MiB, beside weights of 30 GiB."""
    given = replace(SCENARIO, devices=part(SCENARIO.devices, 1, memory_gib=30.0 + free_gib + 1e-9))
    found = contradictions(given)
    assert len(found) == said
    for text in found:
        assert "leave 149 tokens of KV memory, the longest request needs 150" in text
        assert "memory_gib of 30.07 or more" in text


def test_of_a_recording_the_longest_request_counts() -> None:
    """720 tokens of 0.5 MiB are 360 MiB."""
    given = replace(
        SCENARIO,
        devices=part(SCENARIO.devices, 1, memory_gib=30.3),
        workloads=part(SCENARIO.workloads, requests=REQUESTS),
    )
    (text,) = contradictions(given)
    assert "the longest request needs 720; give it memory_gib of 30.35" in text


def test_a_first_token_that_may_come_after_the_last_is_named() -> None:
    given = replace(SCENARIO, workloads=part(SCENARIO.workloads, budgets=Budgets(ttft_p95_ms=100.0, e2e_p95_ms=80.0)))
    (text,) = contradictions(given)
    assert text.startswith("chat: budgets.ttft_p95_ms is 100, above e2e_p95_ms, which is 80: no answer ends before")


def test_a_budget_that_a_higher_percentile_outdoes_is_named() -> None:
    budgets = Budgets(ttft_p50_ms=900.0, ttft_p95_ms=800.0, tpot_p50_ms=40.0, tpot_p99_ms=40.0, e2e_p95_ms=1000.0)
    given = replace(SCENARIO, workloads=part(SCENARIO.workloads, budgets=budgets))
    (text,) = contradictions(given)
    assert text.startswith("chat: budgets.ttft_p50_ms is 900, above ttft_p95_ms, which is 800")
