"""Replays whose result is known beforehand: worked by hand, or exact queueing theory (sources in each test)."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.performance import DevicePerformance, Performance, WorkloadPerformance
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.workload import Budgets
from dsd_plan.replay.load import means, target_saturation, unloaded_ms
from dsd_plan.replay.run import replay
from tests.replay.builder import NO_BUDGETS, closed, poisson, recorded, system, token_trace
from tests.replay.runs import kernel_run

NO_DELAY = Link(between=("edge", "region"), rtt_ms=0.0)
GATED = StepLaw(step_ms=20.0, per_prompt_token_ms=1.0)
"""t(b) = 20 + b ms for jobs that are prefills of one token."""


def device(performance: Performance, name: str) -> DevicePerformance:
    return next(row for row in performance.devices if row.name == name)


def parts(workload: WorkloadPerformance) -> tuple[float, ...]:
    """Draft, up, wait, verify, down."""
    assert workload.round_parts is not None
    return astuple(workload.round_parts)


def one_user(budgets: Budgets = NO_BUDGETS) -> Deployed:
    return system(
        closed(1, 0.0, 100, 101),
        window=4,
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1, active_w=100.0),
        draft=StepLaw(step_ms=5.0, active_w=30.0),
        acceptance=AcceptanceLaw(per_token=1.0),
        budgets=budgets,
        idle_w=10.0,
        cost_per_hour=3.6,
    )


def test_one_user_whose_drafts_are_all_accepted() -> None:
    """K = ⌈100/5⌉ = 20 rounds of 4·5 + 10 + (20 + .2·5) + 10 = 61 ms; TTFT = 10 + (20 + 10) + 10 = 50 ms."""
    performance = replay(one_user(), requests=40, replications=2)
    chat = performance.workload("chat")
    assert chat.ttft_ms.mean == pytest.approx(50.0)
    assert chat.tpot_ms.mean == pytest.approx(20 * 61.0 / 100)
    assert chat.itl_ms.mean == pytest.approx(61.0)
    assert chat.itl_ms.p99 == pytest.approx(61.0)
    assert chat.e2e_ms.p50 == pytest.approx(1270.0)
    assert chat.requests_per_s == pytest.approx(1 / 1.27)
    assert chat.tokens_per_s == pytest.approx(101 / 1.27)
    assert (chat.rounds_per_request, chat.tokens_per_round, chat.acceptance_rate) == (20.0, 5.0, 1.0)
    assert parts(chat) == pytest.approx((20.0, 10.0, 0.0, 21.0, 10.0))
    assert chat.bytes_per_token == pytest.approx((400 + 4 + 20 * (16 + 8)) / 101)
    assert chat.ci is not None
    assert chat.ci["tpot_ms.mean"] == pytest.approx((12.2, 12.2))
    assert unloaded_ms(one_user(), one_user().streams[0]) == pytest.approx(1270.0)


def test_one_user_on_a_law_that_bends() -> None:
    """As above with a step of 5 tokens at 1.5·(12 + 2·2) = 24 ms, and prompts that add 1.5·(10 + .001·100²) = 30 ms."""
    bent = StepLaw(
        step_ms=99.0,
        per_prompt_token_ms=0.1,
        per_prompt_token_sq_us=1.0,
        knots=((3.0, 12.0), (6.0, 18.0)),
        load_scale=1.5,
    )
    deployed = system(
        closed(1, 0.0, 100, 101),
        window=4,
        target=bent,
        draft=StepLaw(step_ms=5.0),
        acceptance=AcceptanceLaw(per_token=1.0),
    )
    chat = replay(deployed, requests=40, replications=1).workload("chat")
    assert chat.ttft_ms.mean == pytest.approx(10.0 + 18.0 + 30.0 + 10.0)
    assert chat.itl_ms.mean == pytest.approx(20.0 + 10.0 + 24.0 + 10.0)


def test_power_and_energy_of_one_user() -> None:
    """Target: 30 + 20·21 = 450 of 1270 ms at 100 W, else 10 W. Draft: 5 + 20·20 = 405 ms at 30 W, else 10 W."""
    performance = replay(one_user(), requests=40, replications=1)
    target_w = (450 * 100 + 820 * 10) / 1270
    draft_w = (405 * 30 + 865 * 10) / 1270
    tokens_per_s = 101 / 1.27
    assert device(performance, "gpu").power_w == pytest.approx(target_w)
    assert device(performance, "gpu").busy == pytest.approx(450 / 1270)
    assert device(performance, "box").power_w == pytest.approx(draft_w)
    assert device(performance, "box").busy == pytest.approx(405 / 1270)
    assert performance.fleet.power_w == pytest.approx(target_w + draft_w)
    assert performance.fleet.energy_j_per_token == pytest.approx((target_w + draft_w) / tokens_per_s)
    assert performance.workload("chat").energy_j_per_token == pytest.approx((target_w + draft_w) / tokens_per_s)
    assert performance.fleet.cost_per_million_tokens == pytest.approx(0.001 / tokens_per_s * 1e6)
    assert performance.workload("chat").ci is None


@pytest.mark.parametrize(
    ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "share"),
    [
        (51.0, 12.3, 62.0, 1271.0, 1.0),
        (49.0, 12.3, 62.0, 1271.0, 0.0),
        (51.0, 12.1, 62.0, 1271.0, 0.0),
        (51.0, 12.3, 60.0, 1271.0, 0.0),
        (51.0, 12.3, 62.0, 1269.0, 0.0),
    ],
)
def test_goodput_counts_requests_within_every_budget(
    ttft_ms: float, tpot_ms: float, itl_ms: float, e2e_ms: float, share: float
) -> None:
    budgets = Budgets(ttft_p95_ms=ttft_ms, tpot_p50_ms=tpot_ms, itl_p99_ms=itl_ms, e2e_p95_ms=e2e_ms)
    chat = replay(one_user(budgets), requests=20, replications=1).workload("chat")
    assert chat.slo_attainment == share
    assert chat.goodput_per_s == pytest.approx(share / 1.27)


def test_two_simultaneous_sessions_stay_a_batch_of_two() -> None:
    """Same-instant rule: cycle = D + t(2) = 10 + 22 = 32 ms; R = 22 ms; never a batch of one."""
    deployed = system(
        recorded([0.0, 0.0], [1, 1], [101, 101]),
        window=1,
        target=StepLaw(step_ms=20.0, per_token_ms=0.5, per_prompt_token_ms=1.0),
        draft=StepLaw(step_ms=5.0),
        link=Link(between=("edge", "region"), rtt_ms=5.0),
        acceptance=AcceptanceLaw(per_token=1.0),
        devices=2,
        draft_routing="jsq",
        cap=8,
    )
    run = kernel_run(deployed, most=2)
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    assert groups["gap_ms"][2:] == pytest.approx(32.0)
    (replica,) = run.tables["replicas"]
    assert (replica["iterations"], replica["jobs"]) == (51, 102)
    assert replica["step_ms"] == pytest.approx(51 * 22.0)


def test_forty_sessions_against_a_cap_of_eight() -> None:
    """D = 50 < 4·t(8): saturated. Cycle = 5·t(8) = 140 ms, X = 8/28 ms = 285.7/s, R = 140 − 50 = 90 ms."""
    deployed = system(
        closed(40, 0.0, 1, 201),
        window=1,
        target=StepLaw(step_ms=20.0, per_token_ms=0.5, per_prompt_token_ms=1.0),
        draft=StepLaw(step_ms=20.0),
        link=Link(between=("edge", "region"), rtt_ms=30.0),
        acceptance=AcceptanceLaw(per_token=1.0),
        devices=40,
        draft_routing="jsq",
        cap=8,
    )
    performance = replay(deployed, requests=400, replications=2)
    assert performance.steady
    gpu, chat = device(performance, "gpu"), performance.workload("chat")
    assert gpu.busy == pytest.approx(1.0)
    assert gpu.mean_batch == pytest.approx(8.0, abs=0.01)
    assert gpu.saturation == pytest.approx(1.0, rel=0.01)
    assert chat.itl_ms.p50 == pytest.approx(140.0)
    _, _, wait_ms, verify_ms, _ = parts(chat)
    assert wait_ms + verify_ms == pytest.approx(90.0, rel=0.02)
    assert chat.requests_per_s == pytest.approx(285.714 / 101, rel=0.02)


def assert_covers(found: tuple[float, float] | None, truth: float) -> None:
    """The 95 % interval, twice as wide, so that a right replay does not fail by chance."""
    assert found is not None
    middle, half = (found[0] + found[1]) / 2, (found[1] - found[0]) / 2
    assert half < 0.06 * truth, "the interval is too wide to say anything"
    assert abs(middle - truth) < 2.0 * half


@pytest.mark.parametrize(
    ("rate_per_s", "sojourn_ms", "mean_batch", "busy"),
    [(30.0, 27.116815053953146, 1.164961065887065, 0.5450386717371694),
     (300.0, 44.120312731166705, 8.571823039548478, 0.999967786586026)],
)  # fmt: skip
def test_open_gated_batch_server(rate_per_s: float, sojourn_ms: float, mean_batch: float, busy: float) -> None:
    """M/D(b)^[1,B]/1 gated, t(b) = 20 + b ms, B = 64: embedded chain X' = (X − B)⁺ + Poisson(λt(min(max(X,1),B)))."""
    deployed = system(poisson(rate_per_s, 1, 1), mode="target_only", target=GATED, link=NO_DELAY)
    performance = replay(deployed, seed=3, requests=8000, replications=6)
    chat = performance.workload("chat")
    assert chat.ci is not None
    assert_covers(chat.ci["e2e_ms.mean"], sojourn_ms)
    assert_covers(chat.ci["ttft_ms.mean"], sojourn_ms)
    assert device(performance, "gpu").mean_batch == pytest.approx(mean_batch, rel=0.01)
    assert device(performance, "gpu").busy == pytest.approx(busy, rel=0.02)
    assert chat.tpot_ms.mean is None  # one token has no time per output token
    assert chat.requests_per_s == pytest.approx(rate_per_s, rel=0.02)


def test_closed_gated_batch_server_with_exponential_thinking() -> None:
    """N = 5, Exp(50 ms) outside, t(b) = 20 + b ms: X' = (X − B)⁺ + Bin(N − b − (X − b)⁺, 1 − e^{−t(b)/D})."""
    deployed = system(closed(5, 0.05, 1, 1), mode="target_only", target=GATED, link=NO_DELAY, cap=32)
    performance = replay(deployed, seed=1, requests=8000, replications=6)
    chat = performance.workload("chat")
    assert chat.ci is not None
    assert_covers(chat.ci["e2e_ms.mean"], 31.40742316760041)
    assert_covers(chat.ci["tokens_per_s"], 61.419460356902256)
    assert device(performance, "gpu").busy == pytest.approx(0.9035157316735822, rel=0.01)
    assert device(performance, "gpu").mean_batch == pytest.approx(1.4587277594963903, rel=0.01)


def test_md1_against_pollaczek_khinchine() -> None:
    """batch_cap = 1 and Poisson arrivals: M/D/1 at load .7, W = 1 + .7/(2·.3) = 2.1667 service times."""
    deployed = system(poisson(700.0, 1, 1), mode="target_only", target=StepLaw(step_ms=1.0), link=NO_DELAY, cap=1)
    chat = replay(deployed, seed=2, requests=30000, replications=8).workload("chat")
    assert chat.ci is not None
    assert_covers(chat.ci["e2e_ms.mean"], 2.1666666666666665)


def test_a_draft_device_is_a_fifo_queue_too() -> None:
    """16 sessions draft on one device, which is the bottleneck: X = 1/(10 + 10·60 ms), prefill and ten rounds."""
    deployed = system(
        closed(16, 0.0, 1, 21),
        window=6,
        target=StepLaw(step_ms=1.0),
        draft=StepLaw(step_ms=10.0),
        acceptance=AcceptanceLaw(survival=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),  # two tokens a round, 10 rounds
        link=NO_DELAY,
    )
    performance = replay(deployed, requests=400, replications=1)
    assert performance.workload("chat").requests_per_s == pytest.approx(1000 / 610, rel=0.01)
    assert device(performance, "box").busy == pytest.approx(1.0)
    assert device(performance, "box").saturation == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("tokens", "window", "alpha", "rounds"),
    [(1, 4, 0.7, 1.0), (3, 1, 0.5, 2.25), (127, 4, 0.7, 46.27428231563792)],
)
def test_rounds_to_emit_n_tokens(tokens: int, window: int, alpha: float, rounds: float) -> None:
    """m(n) = 1 + Σ_x p_x m(n − x), m(≤ 0) = 0; the first token is the prefill's."""
    deployed = system(
        closed(20, 0.0, 1, tokens + 1),
        window=window,
        acceptance=AcceptanceLaw(per_token=alpha),
        target=StepLaw(step_ms=1.0),
        devices=20,
    )
    assert means(deployed.streams[0]).rounds == pytest.approx(rounds, rel=1e-9)
    run = kernel_run(deployed, most=4000)
    found = run.tables["sessions"]["rounds"]
    assert found.mean() == pytest.approx(rounds, abs=4.0 * found.std() / np.sqrt(found.size) + 1e-12)
    if tokens == 127:
        assert found.var() == pytest.approx(14.528874846561848, rel=0.1)
        assert np.quantile(found, 0.99) == pytest.approx(56.0, abs=1.0)
        sessions = run.tables["sessions"]
        accepted = sessions["accepted"].sum() / sessions["rounds"].sum()
        assert accepted + 1 == pytest.approx(2.7731, rel=0.005)  # (1 − α⁵)/(1 − α), uncut


def test_saturation_of_an_affine_target_is_the_textbook_one() -> None:
    """σ = Σλ(EK·w_v + w_p) + (a/B)Λ (affine gated batches)."""
    deployed = system(
        {"a": poisson(2.0, 100, 4), "b": poisson(3.0, 50, 1)},
        mode={"a": "distributed", "b": "target_only"},
        window=1,
        acceptance=AcceptanceLaw(per_token=0.5),
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02, per_kv_token_us=1.0),
        cap=16,
    )
    # A decode job's context is on average the prompt and half of the output: 102 tokens, .102 ms.
    weights = 2.0 * (2.25 * (0.4 + 0.102) + 2.0) + 3.0 * 1.0
    jobs = 2.0 * (2.25 + 1) + 3.0
    assert target_saturation(deployed, 0, [2.0, 3.0]) == pytest.approx((weights + 20.0 / 16 * jobs) / 1000)


def test_fused_iteration_drafts_for_its_batch_then_steps() -> None:
    """One user, window 3, all accepted: 3·t_d + t_v(4) an iteration, four tokens; prefill runs both models."""
    deployed = system(
        closed(1, 0.0, 100, 13),
        mode="fused",
        window=3,
        target=StepLaw(step_ms=20.0, per_token_ms=1.0, per_prompt_token_ms=0.1),
        fused=StepLaw(step_ms=2.0, per_token_ms=0.5, per_prompt_token_ms=0.01),
        acceptance=AcceptanceLaw(per_token=1.0),
    )
    chat = replay(deployed, requests=10, replications=1).workload("chat")
    assert chat.ttft_ms.mean == pytest.approx(10 + (20 + 10) + (2 + 1) + 10)
    assert chat.itl_ms.mean == pytest.approx(3 * 2.5 + 24.0)
    assert chat.tpot_ms.mean == pytest.approx(3 * 31.5 / 12)
    assert parts(chat) == pytest.approx((7.5, 0.0, 0.0, 24.0, 0.0))
    assert chat.bytes_per_token == pytest.approx((400 + 13 * 4) / 13)


def test_target_only_streams_one_token_an_iteration() -> None:
    """RTT is paid once, in TTFT: gaps are the iteration's 20 + .2 + .001·context ms, context 101 … 110."""
    deployed = system(
        closed(1, 0.0, 100, 11),
        mode="target_only",
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1, per_kv_token_us=1.0),
    )
    chat = replay(deployed, requests=10, replications=1).workload("chat")
    assert chat.ttft_ms.mean == pytest.approx(10 + 30 + 10)
    assert chat.tpot_ms.mean == pytest.approx(20.2 + 0.001 * 105.5)
    assert (chat.tokens_per_round, chat.acceptance_rate, chat.rounds_per_request) == (None, None, None)
    assert parts(chat) == pytest.approx((0.0, 0.0, 0.0, 20.2 + 0.001 * 105.5, 0.0))


def test_a_token_trace_is_walked_round_by_round() -> None:
    """1 1 0 1 0 with window 2 from the start: 2 (bonus skips the miss), then 1 and the miss, then around again."""
    deployed = system(
        closed(1, 0.0, 1, 11), window=2, acceptance=token_trace([[1, 1, 0, 1, 0]]), target=StepLaw(step_ms=1.0)
    )
    run = kernel_run(deployed, most=1)
    tokens = run.tables["groups"]["tokens"][: int(run.worlds["logged"][0])]
    assert tokens.tolist() == [1, 3, 2, 3, 2]
    assert run.tables["sessions"][0]["accepted"] == 2 + 1 + 2 + 1


def test_what_the_cache_holds_is_sent_and_kept_but_not_prefilled() -> None:
    """TTFT = 10 + (20 + .1·prefilled) + 10 ms; the memory and the bytes are those of the whole prompt."""
    law = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1)
    link = Link(between=("edge", "region"), rtt_ms=20.0)

    def first_ms(cached: int) -> float:
        requests = recorded(100.0 * np.arange(60), [100] * 60, [11] * 60, [cached] * 60)
        chat = replay(system(requests, mode="target_only", target=law, link=link), requests=60).workload("chat")
        assert chat.tpot_ms.mean == pytest.approx(20.2)
        assert chat.bytes_per_token == pytest.approx((4 * 100 + 4 + 10 * 4) / 11)
        return chat.ttft_ms.mean or 0.0

    assert first_ms(0) == pytest.approx(50.0)
    assert first_ms(60) == pytest.approx(44.0)
