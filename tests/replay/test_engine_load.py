"""How much an engine-like target is offered, worked by hand, and against runs beyond what it can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.workload import Requests
from dsd_plan.replay.load import target_saturation
from dsd_plan.replay.run import replay
from dsd_plan.replay.whole_run import whole_run
from tests.replay.builder import poisson, recorded, system, token_trace

STEP = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1)
ALL_WRONG = token_trace([[0] * 8])


def engine(requests: Requests, **changes: Any) -> Deployed:
    keys = ("max_sequences", "kv_blocks", "kv_block_tokens", "token_cap", "prefix_cache")
    own = {key: value for key, value in changes.items() if key in keys}
    given = {key: value for key, value in changes.items() if key not in keys}
    return system(requests, **({"mode": "target_only", "target": STEP} | given), engine=own)


def test_a_cap_on_sequences() -> None:
    """A request is 21 jobs and 100 prompt tokens: a step of 4 jobs takes 10 + 4/21 · 10 ms."""
    deployed = engine(poisson(2.0, 100, 21), max_sequences=4)
    assert target_saturation(deployed, 0, [2.0]) == pytest.approx(2.0 * 21 * (0.010 + 4 / 21 * 0.010) / 4)


def test_blocks_limit_the_sessions() -> None:
    """30 blocks of 10 for sessions of 100 + 10.5 tokens, 11.05 blocks and .45 of a last one: 2.6 sessions."""
    deployed = engine(poisson(2.0, 100, 21), max_sequences=256, kv_blocks=31, kv_block_tokens=10)
    jobs = 30 / (11.05 + 0.45)
    assert target_saturation(deployed, 0, [2.0]) == pytest.approx(2.0 * 21 * (0.010 + jobs / 21 * 0.010) / jobs)


def test_sessions_that_draft_keep_their_place() -> None:
    """Steps of 10 ms; a round comes back after 20 ms of way and two drafts of 5: 10 of 40 ms are the target's."""
    deployed = engine(
        poisson(2.0, 1, 1001),
        mode="distributed",
        window=2,
        target=StepLaw(step_ms=10.0),
        acceptance=ALL_WRONG,
        link=Link(between=("edge", "region"), rtt_ms=20.0),
        max_sequences=8,
    )
    # 1001 jobs, 1000 of which are followed by 30 ms away: b (1 + 3 · 1000/1001) = 8.
    jobs = 8 / (1 + 3 * 1000 / 1001)
    assert target_saturation(deployed, 0, [2.0]) == pytest.approx(2.0 * 1001 * 0.010 / jobs, rel=1e-6)


def test_a_token_budget_is_full_of_prompts() -> None:
    """120 new tokens a request in 21 jobs: a step of 60 tokens holds 10.5 jobs, half a prompt, and takes 15 ms."""
    deployed = engine(poisson(2.0, 100, 21), max_sequences=256, token_cap=60)
    assert target_saturation(deployed, 0, [2.0]) == pytest.approx(2.0 * 0.015 * 2)


def test_without_a_prefix_cache_prompts_are_computed_whole() -> None:
    asked = recorded([0.0, 1.0, 2.0], [100] * 3, [21] * 3, [60] * 3)
    for cache, prompt_ms in ((True, 4.0), (False, 10.0)):
        found = target_saturation(engine(asked, max_sequences=4, prefix_cache=cache), 0, [2.0])
        assert found == pytest.approx(2.0 * 21 * (0.010 + 4 / 21 * prompt_ms / 1000) / 4)


def test_dearer_reads_count_where_a_prefill_is() -> None:
    """One step in 21 / 4 holds a prefill; it reads the contexts of the others, 20/21 · 4 of 110.5, at 300 µs more."""
    law = replace(STEP, mixed_kv_token_us=300.0)
    found = target_saturation(engine(poisson(2.0, 100, 21), max_sequences=4, target=law), 0, [2.0])
    step_ms = 10.0 + 4 / 21 * 10.0 + 4 / 21 * 0.3 * (4 * 20 / 21) * 110.5
    assert found == pytest.approx(2.0 * 21 * step_ms / 1000 / 4)


@pytest.mark.parametrize(
    "limit", [{"max_sequences": 6}, {"kv_blocks": 61, "kv_block_tokens": 16}, {"token_cap": 48, "max_sequences": 64}]
)
def test_the_knee_is_where_a_full_server_works(limit: dict[str, int]) -> None:
    """All requests at once: what it takes for each when full is what one a second offers; preemption adds to it."""
    asked = recorded(np.arange(600) * 1e-6, [100] * 600, [60] * 600)
    run = whole_run(engine(asked, **limit))
    at_full_s = (float(np.sort(run.last_ms)[500]) - float(np.sort(run.last_ms)[100])) / 400 / 1000
    found = target_saturation(engine(poisson(1.0, 100, 60), **limit), 0, [1.0])
    assert found == pytest.approx(at_full_s, rel=0.08 if "kv_blocks" in limit else 0.02)


def test_an_overloaded_engine_is_said_so_up_front() -> None:
    deployed = engine(poisson(9.0, 100, 60), kv_blocks=31, kv_block_tokens=16)
    found = replay(deployed, requests=100, replications=1)
    assert not found.steady
    assert found.workloads[0].requests is None or found.workloads[0].e2e_ms.mean is None
    assert any("gpu is saturated: requests ask" in note for note in found.notes)
