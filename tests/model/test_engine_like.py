"""Engine-like targets: limits by hand, what is refused, and the replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.profile import StepLaw
from dsd_plan.errors import BudgetError, PreemptionError, UnstableError
from dsd_plan.model import predict
from dsd_plan.model.engine_like.backlog import backlog, steps_behind
from dsd_plan.model.engine_like.steps import EngineSteps
from dsd_plan.model.known_errors import known_errors, outside_regime
from dsd_plan.model.saturation import places_of
from dsd_plan.model.traffic import demands_of
from dsd_plan.replay.run import replay
from tests.model.random_engines import random_engine
from tests.model.systems import Chat, mean, system


def engine(rate_per_s: float = 1.0, prompt: int = 200, output: int = 101, **keys: int | bool) -> Deployed:
    chat = Chat(mode="target_only", rate_per_s=rate_per_s, prompt=prompt, output=output)
    return system(chat, engine={"max_sequences": 64, **keys})


def test_places_are_sequences_or_what_fills_the_blocks() -> None:
    plain, tight = engine(kv_block_tokens=16, kv_blocks=10_000), engine(kv_block_tokens=16, kv_blocks=161)
    shares = np.ones(1)
    assert places_of(plain.targets[0], demands_of(plain), shares) == 64.0
    # (200 + 101/2)/16 + 15/32 blocks a session, of 160.
    assert places_of(tight.targets[0], demands_of(tight), shares) == pytest.approx(160.0 / (250.5 / 16.0 + 0.46875))


def test_a_budget_that_prompts_fill_cuts_them_into_chunks() -> None:
    steps = EngineSteps(False, 100.0, np.ones(1), np.array([250.0]), np.array([250.0**2]), np.zeros(1))
    assert steps.chunks(np.array([[0.0], [40.0]])).tolist() == [[3.0], [5.0]]  # of 100 and of 60 tokens
    alone = steps.chunked_ms(np.zeros((1, 1)), np.full((1, 1), 1e-9), np.array([20.0]), np.array([12.5]))
    assert alone[0, 0] == pytest.approx(2.0 * 20.0, rel=1e-6)


def test_planning_ahead_adds_a_step_to_the_first_token_alone() -> None:
    now, ahead = (predict(engine(2.0, async_scheduling=value)).workloads[0] for value in (False, True))
    assert mean(ahead.ttft_ms) - mean(now.ttft_ms) == pytest.approx(mean(now.tpot_ms), rel=0.05)
    assert mean(ahead.tpot_ms) == pytest.approx(mean(now.tpot_ms), rel=0.01)


def test_dearer_reads_beside_prefills_cost_their_share() -> None:
    law = StepLaw(step_ms=20.0, per_prompt_token_ms=0.05, per_kv_token_us=0.1)
    chat = Chat(mode="target_only", rate_per_s=2.0)
    dear = replace(law, mixed_kv_token_us=0.3)
    without, with_it = (predict(system(chat, target=one, engine={"max_sequences": 64})) for one in (law, dear))
    assert mean(with_it.workloads[0].tpot_ms) > mean(without.workloads[0].tpot_ms)


def test_what_is_full_is_named() -> None:
    with pytest.raises(UnstableError, match="max_sequences"):
        predict(engine(8.0, max_sequences=4))
    with pytest.raises(UnstableError, match="token_cap"):
        predict(engine(20.0, prompt=2000, output=2, token_cap=128))
    with pytest.raises(UnstableError, match="would wait for ever"):
        predict(engine(kv_blocks=4))
    with pytest.raises((PreemptionError, UnstableError), match="KV blocks"):
        predict(engine(2.0, kv_blocks=80))


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed"])
def test_random_engines_agree_with_the_replay(mode: str) -> None:
    deployed = random_engine(2, mode, "open")
    seen, said = (source(deployed).workloads[0] for source in (_replayed, predict))
    assert mean(said.tpot_ms) == pytest.approx(mean(seen.tpot_ms), rel=0.04)
    assert mean(said.ttft_ms) == pytest.approx(mean(seen.ttft_ms), rel=0.08)


def _replayed(deployed: Deployed) -> Performance:
    return replay(deployed, seed=3, requests=3000, replications=1)


def test_prompts_left_over_by_a_budget_are_those_of_a_walk_played() -> None:
    coming, size, budget = 1.0, 100.0, 150.0
    rng = np.random.default_rng(1)
    left, waiting, kept, ahead = 0.0, [], [], []
    for count in rng.poisson(coming, 40_000):
        waiting.append(left > 0.0)
        kept.append(left)
        ahead.append(left + size * rng.binomial(count, rng.random()))
        left = max(left + size * count - budget, 0.0)
    said = backlog(np.array([coming]), size, np.array([budget]))
    assert said.chance[0] == pytest.approx(float(np.mean(waiting)), rel=0.04)
    assert said.chance[0] * said.mean[0] == pytest.approx(float(np.mean(kept)), rel=0.1)
    # A prompt of 60 tokens leaves 90 of its step to those before it.
    behind = steps_behind(said, np.array([coming]), size, np.array([budget]), np.array([[90.0]]))
    assert behind.chance[0, 0] * behind.steps[0, 0] == pytest.approx(
        float(np.mean(np.ceil(np.maximum(np.array(ahead) - 90.0, 0.0) / budget))), rel=0.15
    )


def test_a_prompt_cut_up_makes_returning_sessions_wait_for_a_planned_step() -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.02, per_prompt_token_ms=0.01)
    chat = Chat(mode="distributed", rate_per_s=6.0, prompt=500, rtt_ms=40.0, jitter_cv=0.3)
    cut, whole = (
        predict(system(chat, target=law, engine={"async_scheduling": True, "token_cap": cap})).workloads[0]
        for cap in (256, 8192)
    )
    # Nearly all of a step of 20 ms, in rounds of about 90 ms.
    assert mean(cut.tpot_ms) > 1.1 * mean(whole.tpot_ms)


def test_a_plain_server_with_a_budget_cuts_prompts_too() -> None:
    chat = Chat(mode="target_only", rate_per_s=0.2, prompt=1000, output=50)
    whole, cut = (predict(system(chat, engine=keys)).workloads[0] for keys in (None, {"token_cap": 256}))
    # Four iterations of 256 tokens instead of one of 1,000: about three more steps of 20 ms.
    assert mean(cut.ttft_ms) - mean(whole.ttft_ms) == pytest.approx(3.0 * 20.0, rel=0.25)
    assert mean(cut.tpot_ms) == pytest.approx(mean(whole.tpot_ms), rel=0.03)


def test_a_plain_servers_budget_must_hold_a_round_and_leave_room() -> None:
    wide = Chat(mode="fused", rate_per_s=0.5, window=8)
    with pytest.raises(UnstableError, match="a round verifies 9 new tokens, an iteration holds 8"):
        predict(system(wide, engine={"token_cap": 8}))
    with pytest.raises(BudgetError, match="token_cap"):
        predict(system(replace(wide, rate_per_s=None, users=60), engine={"token_cap": 32}))


@pytest.mark.parametrize("keys", [{"token_cap": 256}, {}])
def test_a_plain_server_with_a_budget_or_dearer_reads_agrees_with_the_replay(keys: dict[str, int]) -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.1, per_prompt_token_ms=0.05, per_kv_token_us=0.1, mixed_kv_token_us=0.3)
    chat = Chat(rate_per_s=4.0, prompt=400, rtt_ms=40.0, jitter_cv=0.3)
    deployed = system(chat, target=law, engine=keys)
    seen, said = (source(deployed).workloads[0] for source in (_replayed, predict))
    assert mean(said.tpot_ms) == pytest.approx(mean(seen.tpot_ms), rel=0.05)
    assert mean(said.ttft_ms) == pytest.approx(mean(seen.ttft_ms), rel=0.08)


def test_engine_like_targets_were_studied_within_their_ranges() -> None:
    studied = random_engine(2, "distributed", "open", load=(0.2, 0.5))
    assert outside_regime(studied) == ()
    assert 0.0 < known_errors(studied, "chat0", "tpot_ms.mean") < 0.2
    assert any("max_sequences 512" in note for note in outside_regime(engine(max_sequences=512)))
    plain = system(Chat(mode="target_only"), engine={"token_cap": 512})
    assert any("a token_cap on gpu, which is not engine-like" in note for note in outside_regime(plain))


def test_kv_blocks_that_cannot_hold_what_is_offered_are_named_before_sequences() -> None:
    # 9 or 10 sessions of 250 tokens in 160 blocks, each 2.5 s: four a second at most.
    with pytest.raises(UnstableError, match="its KV blocks hold 10 live sessions") as refused:
        predict(engine(8.0, kv_blocks=161))
    assert refused.value.saturation == pytest.approx(2.0, rel=0.2)
