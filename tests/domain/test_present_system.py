"""The first law: by hand, and the equation that it is solved from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import AcceptanceCounts, TraceMetadata
from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.present_system import PresentSystem, first_law, present_performance


def system(**more: object) -> PresentSystem:
    return PresentSystem(source="x", rate_per_s=2.0, prompt_tokens=500.0, output_tokens=100.0, **more)  # type: ignore[arg-type]


def test_first_law_by_hand() -> None:
    """Prefill takes 2/s · 500 · 0.2 ms = a fifth; 25 ms · 0.8 = 20 ms = step · (1 + 0.006 · 10)."""
    law = first_law(system(tpot_ms=Quantiles(mean=25.0), running=10.0, prefill_ms_per_token=0.2))
    assert law.step_ms == pytest.approx(20.0 / 1.06)
    assert law.per_token_ms == pytest.approx(0.006 * 20.0 / 1.06)
    assert (law.per_prompt_token_ms, law.replicas, law.batch) == (0.2, 1, 10.0)


def test_cached_prefixes_are_not_prefilled_and_replicas_share() -> None:
    """4 engines of 0.5/s: half of 500 tokens at 0.2 ms take 2.5 % of the time."""
    seen = system(tpot_ms=Quantiles(mean=25.0), running=40.0, prefill_ms_per_token=0.2, cached_share=0.5, replicas=4)
    assert first_law(seen).step_ms == pytest.approx(25.0 * 0.975 / 1.06)


def test_a_round_is_as_long_as_its_tokens() -> None:
    """2 tokens a round of a window of 5: the round of 40 ms holds a step and 5 drafts of a tenth of it."""
    told = TraceMetadata("d", "t", "h", "argmax", "r", "1")
    counts = AcceptanceCounts(metadata=told, reached=(10,) * 5, kept=(5, 3, 1, 1, 0))
    seen = system(tpot_ms=Quantiles(mean=20.0), running=1.0, acceptance=counts, prefill_ms_per_token=0.0)
    assert (seen.round_tokens, seen.window, seen.speculates) == (2.0, 5, True)
    assert first_law(seen).step_ms == pytest.approx(40.0 / 1.506)


@given(
    tpot_ms=st.floats(1.0, 200.0),
    prefill_ms=st.none() | st.floats(0.0, 100.0),
    running=st.none() | st.floats(0.1, 1000.0),
    replicas=st.integers(1, 50),
)
def test_the_law_gives_the_tpot_back(
    tpot_ms: float, prefill_ms: float | None, running: float | None, replicas: int
) -> None:
    seen = system(tpot_ms=Quantiles(mean=tpot_ms), prefill_ms_per_token=prefill_ms, running=running, replicas=replicas)
    law = first_law(seen)
    prefill = 2.0 / replicas / 1000.0 * 500.0 * law.per_prompt_token_ms
    assert 0.0 <= prefill <= 0.5 + 1e-9
    assert (law.step_ms + law.per_token_ms * law.batch) / (1.0 - prefill) == pytest.approx(tpot_ms)


def test_without_tpot_replicas_are_as_many_as_are_needed() -> None:
    """500 · 25/150 ms + 100 · (0.15 + 25/64) ms = 137.4 ms a request; 2/s of them at 60 % need 0.46 engines."""
    law = first_law(system())
    assert (law.step_ms, law.replicas, law.from_tpot) == (25.0, 1, False)
    busy = PresentSystem(source="x", rate_per_s=20.0, prompt_tokens=500.0, output_tokens=100.0)
    assert first_law(busy).replicas == 5
    assert first_law(busy, 9).replicas == 9


def test_what_is_not_measured_is_none() -> None:
    found = present_performance(system(tpot_ms=Quantiles(mean=25.0)), "chat", 3, None)
    assert found.source == "measured"
    assert found.workload("chat").ttft_ms == Quantiles()
    assert found.workload("chat").tokens_per_s == 200.0
    assert (found.fleet.cost_per_hour, found.fleet.cost_per_million_tokens) == (3.0, None)
    assert any("no price was given" in note for note in found.notes)
    priced = present_performance(system(), "chat", 3, 2.4).fleet
    assert (priced.cost_per_hour, priced.cost_per_million_tokens) == (pytest.approx(7.2), pytest.approx(10.0))
