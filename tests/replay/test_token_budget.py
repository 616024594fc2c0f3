"""A plain target's token_cap, worked by hand: who takes part in an iteration, and prefills in chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.step_time import iteration_ms, surface_of
from dsd_plan.domain.workload import Requests
from dsd_plan.errors import PlanError, ScenarioError
from dsd_plan.replay.load import target_saturation
from dsd_plan.replay.run import replay
from dsd_plan.replay.whole_run import whole_run
from tests.replay.builder import closed, poisson, profile, recorded, system, token_trace
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical

STEP = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1)
ALL_WRONG = token_trace([[0] * 8])


def capped(requests: Requests | dict[str, Requests], cap: int | None, **changes: Any) -> Deployed:
    """Users beside the target: no way to go."""
    given = {"mode": "target_only", "target": STEP, "engine": {"token_cap": cap}} | changes
    deployed = system(requests, **given)
    return replace(deployed, streams=tuple(replace(stream, up=(), down=()) for stream in deployed.streams))


def test_a_prompt_is_computed_in_chunks() -> None:
    """40 of 100 tokens in 14 ms, 40 in 14 ms, 20 in 12 ms."""
    run = whole_run(capped(recorded([0.0, 5.0], [100, 1], [1, 1]), 40))
    assert run.first_ms[0] == pytest.approx(14.0 + 14.0 + 12.0)


def test_decodes_come_first_and_a_chunk_takes_what_is_left() -> None:
    """11 ms for ten tokens, then 39, 39 and 22 of the second's beside a decode of the first."""
    run = whole_run(capped(recorded([0.0, 0.001], [10, 100], [9, 1]), 40))
    assert run.first_ms.tolist() == pytest.approx([11.0, 11.0 + 13.9 + 13.9 + 12.2])
    assert run.last_ms[0] == pytest.approx(11.0 + 13.9 + 13.9 + 12.2 + 5 * 10.0)


def test_prompts_are_served_in_order() -> None:
    """Budget 40, prompts 50, 20, 60: 40 | 10 + 20 + 10 | 40 | 10."""
    run = whole_run(capped(recorded([0.0, 0.0, 0.0], [50, 20, 60], [1, 1, 1]), 40))
    assert run.first_ms.tolist() == pytest.approx([28.0, 28.0, 28.0 + 14.0 + 11.0])


def test_a_verify_is_not_split_and_none_overtakes() -> None:
    """Cap 8, rounds of 4 + 1 tokens: one verify, 4 ms of drafting, and three tokens of the third's prompt."""
    asked = recorded([0.0, 0.0, 0.001], [4, 4, 6], [3, 3, 1])
    run = whole_run(
        capped(asked, 8, mode="fused", fused=StepLaw(step_ms=1.0), target=StepLaw(step_ms=10.0), acceptance=ALL_WRONG)
    )
    # Prefills of both: 1 + 10 ms. Then 14 ms each: [first, 3 of the third], [second, 3 of the third], and one a verify.
    assert run.first_ms.tolist() == pytest.approx([11.0, 11.0, 39.0])
    assert run.last_ms.tolist() == pytest.approx([53.0, 67.0, 39.0])


def test_chunks_add_what_the_prompt_would() -> None:
    """0.5 µs a squared token: 80² in two chunks of 40, 40² and 80² − 40²."""
    law = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1, per_prompt_token_sq_us=0.5)
    run = whole_run(capped(recorded([0.0, 5.0], [80, 1], [1, 1]), 40, target=law))
    assert run.first_ms[0] == pytest.approx(2 * 10.0 + 8.0 + 0.5 * 6400 / 1000)


def test_a_cap_that_nobody_reaches_changes_nothing() -> None:
    asked = {"a": poisson(20.0, 100, 15), "b": closed(6, 0.1, 200, 20)}
    modes = {"a": "distributed", "b": "fused"}
    runs = [kernel_run(system(asked, mode=modes, engine={"token_cap": cap}), most=80) for cap in (None, 10**6)]
    groups = [run.tables["groups"][: int(run.worlds["logged"][0])] for run in runs]
    for column in ("arrival_ms", "session", "tokens"):
        assert groups[0][column].tolist() == groups[1][column].tolist()


def test_many_prompts_are_cut_alike() -> None:
    """The scenario has chunks, verifies that wait, and both in one iteration."""
    deployed = system(
        {"a": poisson(30.0, 300, 15), "b": closed(9, 0.1, 90, 20)},
        mode={"a": "distributed", "b": "fused"},
        engine={"token_cap": 21},
        devices=8,
        replicas=2,
        cap=8,
    )
    twin = assert_identical(deployed, most=150)
    jobs = sum(count for pool in twin.replicas for replica in pool for *_, count in replica.iterations)
    assert jobs > sum(1 + session.rounds for session in twin.sessions) + 5 * 150


def test_work_is_that_of_whole_prompts() -> None:
    """What devices are charged with does not depend on how prompts were cut."""
    asked = recorded([0.0, 0.1, 0.2], [100, 30, 77], [3, 1, 2], [10, 0, 7])
    works = [kernel_run(capped(asked, cap), most=3).tables["work"][0] for cap in (None, 16)]
    assert [work["prompt_tokens"] for work in works] == [90 + 30 + 70] * 2
    assert [work["prompt_squares"] for work in works] == [8100 + 900 + 4900] * 2
    assert works[1]["jobs"] == (6 + 2) + (2 + 0) + (5 + 1)


def test_saturation_of_full_token_budgets() -> None:
    """Two a second of 100 prompt tokens, 20 decodes: a full step of 60 of them holds 60 / 120 prompts: 15 ms."""
    deployed = capped(poisson(2.0, 100, 21), 60)
    # 2 · 120 tokens a second; a step of 60 takes 10 + 50 · 0.1 ms.
    assert target_saturation(deployed, 0, [2.0]) == pytest.approx(2 * 120 / 60 * 0.015)


def test_a_window_that_does_not_fit_is_refused() -> None:
    deployed = system(poisson(1.0), window=5, engine={"token_cap": 5})
    with pytest.raises(PlanError, match=r"assignments\[0\].window: a round verifies up to 6 new tokens"):
        replay(deployed, requests=10, replications=1)
    assert kernel_run(system(poisson(1.0), window=4, engine={"token_cap": 5}), most=3).worlds["started"][0] == 3


def test_a_draft_device_with_a_token_cap_is_refused() -> None:
    deployed = system(poisson(1.0))
    box = replace(deployed.scenario.devices[0], token_cap=512)
    scenario = replace(deployed.scenario, devices=(box, *deployed.scenario.devices[1:]))
    with pytest.raises(ScenarioError, match=r"devices\[0\].token_cap"):
        replay(replace(deployed, scenario=scenario), requests=10, replications=1)


def test_kv_is_read_more_slowly_beside_a_prefill() -> None:
    """Prompt 10 at 0, prompt 20 at 1 ms: the second iteration is a decode over 11 tokens and the second's prefill."""
    law = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1, per_kv_token_us=100.0, mixed_kv_token_us=300.0)
    run = whole_run(capped(recorded([0.0, 0.001], [10, 20], [3, 1]), None, target=law))
    second = 10.0 + 2.0 + 0.4 * 11
    assert run.first_ms.tolist() == pytest.approx([11.0, 11.0 + second])
    assert run.last_ms[0] == pytest.approx(11.0 + second + 10.0 + 0.1 * 12)


def test_terms_of_a_mixed_iteration() -> None:
    law = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1, per_kv_token_us=100.0, mixed_kv_token_us=300.0)
    surface = surface_of(profile(law, "target"))
    parts = np.array([iteration_ms(surface, *jobs) for jobs in ((3, 1, 50, 0, 0), (0, 0, 0, 2, 9), (3, 1, 50, 2, 9))])
    assert parts.tolist() == pytest.approx([10 + 15.0, 10 + 1.8, 10 + 15.0 + 45.0 + 1.8])
