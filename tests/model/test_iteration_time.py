"""Mean iteration times against the one definition of a step, for affine laws and for a measured surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.profile import LatencyProfile, LatencyStats, LawFit, ProfilePoint, StepLaw, declared_profile
from dsd_plan.domain.step_time import decode_ms, iteration_ms, surface_of
from dsd_plan.model.batches import mean_iteration
from dsd_plan.model.iteration_time import IterationTime, iteration_time, prefill_mean_added_ms
from dsd_plan.model.traffic import demands_of
from tests.model.systems import Chat, system

LAW = StepLaw(step_ms=20.0, per_token_ms=0.3, per_prompt_token_ms=0.05, per_kv_token_us=0.4)
NOBODY = np.zeros(2)


def step(batch: int, new: int, ms: float) -> ProfilePoint:
    stats = LatencyStats(mean=ms, std=0.0, p50=ms, p95=ms, p99=ms)
    return ProfilePoint(phase="decode", batch=batch, new_tokens=new, context_tokens=0, samples=9, latency_ms=stats)


MEASURED = LatencyProfile(
    device="gpu",
    model="big",
    origin="measured",
    fit=LawFit(law=StepLaw(step_ms=20.0, per_token_ms=0.3, per_prompt_token_ms=0.05)),
    points=(
        *(step(1, 1, 21.0), step(1, 5, 24.0), step(4, 1, 22.0), step(4, 5, 40.0)),
        *(step(16, 1, 26.0), step(16, 5, 90.0)),
    ),
)


def times(*chats: Chat, target: LatencyProfile | StepLaw = LAW) -> IterationTime:
    deployed = system(*chats, target=target, batch_cap=16)
    return iteration_time(deployed.targets[0], demands_of(deployed), np.array([1.0, 3.0])[: len(chats)])


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 3), st.integers(0, 3))
def test_an_affine_law_is_reproduced_job_by_job(v0: int, v1: int, p0: int, p1: int) -> None:
    first, second = Chat(window=2, prompt=100), Chat(window=7, prompt=400)
    time = times(first, second)
    contexts = (100 + 50.5, 400 + 50.5)
    decodes = np.array([[v0, v1]], dtype=float)
    marginal = time.marginal(np.array([4.0]))[0]
    assert marginal == pytest.approx([0.3 * 3 + 0.0004 * contexts[0], 0.3 * 8 + 0.0004 * contexts[1]])
    # Of the mix that the pool has, one class a quarter and one three quarters.
    mix = np.array([[(v0 + v1) * 0.25, (v0 + v1) * 0.75]])
    expected = 20.0 + float((mix @ marginal)[0]) + 0.05 * (100 * p0 + 400 * p1)
    found = mean_iteration(time, decodes, np.array([[p0, p1]], dtype=float), NOBODY)[0]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("batch", [1.0, 2.5, 4.0, 10.0, 16.0])
def test_a_measured_surface_is_read_at_the_mean_mix(batch: float) -> None:
    time = times(Chat(window=1), Chat(window=4), target=MEASURED)
    surface = surface_of(MEASURED)
    context = 200 + 50.5
    mean_new = 0.25 * 2 + 0.75 * 5
    assert time.step(np.array([batch]))[0] == pytest.approx(decode_ms(surface, batch, mean_new, context))
    # Of a whole batch of four, one job of the second class instead of one of the mean mix.
    together = decode_ms(surface, 4.0, mean_new + (5 - mean_new) / 4, context)
    extra = together - decode_ms(surface, 4.0, mean_new, context)
    assert time.own_extra(np.array([4.0]), 1)[0] == pytest.approx(extra)


def test_a_step_without_decoding_is_its_intercept() -> None:
    assert times(Chat(), target=MEASURED).step(np.zeros(1))[0] == 20.0


def test_a_lone_fused_session_pays_its_own_steps() -> None:
    time = times(Chat(mode="fused", window=3))
    surface = surface_of(system(Chat(mode="fused")).targets[0].fused_profile)  # type: ignore[arg-type]
    assert time.drafting_ms(np.zeros((1, 1)), np.zeros(1), 0)[0] == pytest.approx(
        3 * decode_ms(surface, 1.0, 1.0, 250.5)
    )
    assert time.drafting_ms(np.zeros((1, 1)), np.zeros(1), None)[0] == 0.0


def test_drafting_lasts_as_long_as_the_largest_window_present() -> None:
    time = times(Chat(mode="fused", window=2), Chat(mode="fused", window=6))
    many = np.array([[50.0, 50.0]])
    per_step = time.draft_step(np.array([100.0]))[0]
    assert time.drafting_ms(many, NOBODY, None)[0] == pytest.approx(6 * per_step)
    # One closed user of the larger window, there half of the time: 2 + (6 − 2) / 2 steps.
    half = np.array([[50.0, 0.5]])
    assert time.drafting_ms(half, np.array([0.0, 1.0]), None)[0] == pytest.approx(4 * per_step, rel=0.01)


def test_a_mixed_iteration_of_whole_jobs() -> None:
    time = times(Chat(window=4, prompt=300))
    found = mean_iteration(time, np.array([[5.0]]), np.array([[2.0]]), np.zeros(1))[0]
    surface = surface_of(system(Chat(), target=LAW).targets[0].profile)
    assert found == pytest.approx(iteration_ms(surface, 5.0, 5.0, 350.5, 2.0, 300.0))


BENT = StepLaw(
    step_ms=99.0, per_prompt_token_ms=0.05, per_kv_token_us=0.4, knots=((2.0, 20.0), (30.0, 22.0), (50.0, 42.0))
)


@pytest.mark.parametrize("batch", [1.0, 4.0, 6.0, 7.5, 10.0, 16.0])
def test_a_law_with_knots_is_read_at_the_mean_mix(batch: float) -> None:
    """Six tokens a job: the law bends at batches 5 and 8⅓, between whole ones too."""
    time = times(Chat(window=5), target=BENT)
    surface = surface_of(declared_profile("gpu", "big", BENT))
    assert time.intercept == 20.0
    assert time.step(np.array([batch]))[0] == pytest.approx(decode_ms(surface, batch, 6.0, 200 + 50.5))


def test_the_extra_of_a_class_follows_the_knots() -> None:
    time = times(Chat(window=1), Chat(window=4), target=BENT)
    surface = surface_of(declared_profile("gpu", "big", BENT))
    mean_new, context = 0.25 * 2 + 0.75 * 5, 200 + 50.5
    together = decode_ms(surface, 16.0, mean_new + (5 - mean_new) / 16, context)
    assert time.own_extra(np.array([16.0]), 1)[0] == pytest.approx(
        together - decode_ms(surface, 16.0, mean_new, context)
    )


def test_prompts_of_many_lengths_cost_their_mean_square() -> None:
    """Prompts of 100 and 300: 0.05·200 + 0.001·(100² + 300²)/2 = 60 ms, not the 50 of two prompts of 200."""
    law = replace(LAW, per_prompt_token_sq_us=1.0)
    surface = surface_of(declared_profile("gpu", "big", law))
    assert prefill_mean_added_ms(surface, 200.0, (100.0**2 + 300.0**2) / 2) == pytest.approx(60.0)
    assert prefill_mean_added_ms(surface, 200.0, 200.0**2) == pytest.approx(50.0)
