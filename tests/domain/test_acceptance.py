"""What laws and traces say of a round, against hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import (
    AcceptanceLaw,
    RoundTrace,
    TokenTrace,
    TraceMetadata,
    accepted_by_round,
    accepted_pmf,
    for_task,
    largest_window,
    survival_by_position,
    tokens_per_round,
)

META = TraceMetadata("d", "t", "hash", "argmax", "test", "0")


def tokens(bits: list[int], task: list[str] | None = None) -> TokenTrace:
    return TokenTrace(
        metadata=META,
        request_id=np.zeros(len(bits), dtype=np.int64),
        match=np.array(bits, dtype=np.uint8),
        task=None if task is None else np.array(task),
    )


def test_independent_tokens_follow_the_closed_form() -> None:
    # (1 − α^{γ+1}) / (1 − α) with α = .7, γ = 4 (Leviathan et al. 2023, eq. 1)
    assert tokens_per_round(AcceptanceLaw(per_token=0.7), 4) == pytest.approx((1 - 0.7**5) / 0.3, rel=1e-12)


def test_survival_gives_the_pmf_by_differences() -> None:
    law = AcceptanceLaw(survival=(0.8, 0.5, 0.4))
    assert accepted_pmf(law, 2) == pytest.approx([0.2, 0.3, 0.5])
    assert tokens_per_round(law, 3) == pytest.approx(1 + 0.8 + 0.5 + 0.4)


def test_a_token_trace_is_walked_round_by_round() -> None:
    # window 2 on 1 1 [1] | 1 0 | 0 | 1 1 [0] | 1 …: accepted 2, 1, 0, 2; what is left is too short to judge
    trace = tokens([1, 1, 1, 1, 0, 0, 1, 1, 0, 1])
    assert accepted_by_round(trace, 2).tolist() == [2, 1, 0, 2]
    assert accepted_pmf(trace, 2) == pytest.approx([0.25, 0.25, 0.5])


def test_a_round_trace_counts_only_rounds_that_asked_for_a_position() -> None:
    trace = RoundTrace(META, np.zeros(4, np.int64), np.array([3, 3, 1, 1]), np.array([3, 0, 1, 1]))
    assert survival_by_position(trace, 3) == pytest.approx([0.75, 0.5, 0.5])
    assert largest_window(trace) == 3


@pytest.mark.parametrize("window", [0, 4])
def test_a_window_without_evidence_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window {window}"):
        accepted_pmf(AcceptanceLaw(survival=(0.8, 0.5, 0.4)), window)


def test_a_task_keeps_its_own_rows_and_an_unknown_one_names_those_there_are() -> None:
    trace = tokens([1, 1, 0, 0], ["code", "code", "chat", "chat"])
    kept = for_task(trace, "code")
    assert isinstance(kept, TokenTrace)
    assert kept.match.tolist() == [1, 1]
    with pytest.raises(KeyError, match=r"chat.*code"):
        for_task(trace, "poems")


@given(alpha=st.floats(0, 1), window=st.integers(1, 16))
def test_a_pmf_sums_to_one_and_bounds_the_round(alpha: float, window: int) -> None:
    law = AcceptanceLaw(per_token=alpha)
    assert accepted_pmf(law, window).sum() == pytest.approx(1.0)
    assert 1.0 <= tokens_per_round(law, window) <= window + 1 + 1e-9


@given(st.lists(st.integers(0, 1), min_size=30, max_size=200), st.integers(1, 6))
def test_rounds_over_a_trace_emit_every_token_once(bits: list[int], window: int) -> None:
    accepted = accepted_by_round(tokens(bits), window)
    emitted = int(accepted.sum()) + accepted.size
    assert len(bits) - window - 1 < emitted <= len(bits)
