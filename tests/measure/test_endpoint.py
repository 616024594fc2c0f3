"""A profiler that sees a server only from outside must find the law that the server was scripted with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.measure.endpoint.plan import EndpointSettings
from dsd_plan.measure.endpoint.profile import EndpointProfile
from dsd_plan.measure.endpoint.run_all import profile_endpoint
from tests.measure.fake_device import FakeClock
from tests.measure.scripted_server import LAW, PLAIN, Script, ScriptedServer, VirtualLoop

SMALL = EndpointSettings(
    contexts=(64, 512),
    prompts=(32, 128, 256, 512, 1024),
    concurrencies=(2, 4, 8),
    output_tokens=24,
    inject_tokens=256,
    open_requests=20,
    rounds=1,
)


def profiled(script: Script = PLAIN, settings: EndpointSettings = SMALL, **more: Any) -> EndpointProfile:
    return profile_endpoint(
        "http://server.test/v1",
        settings,
        device="gpu",
        salt=1,
        clock=FakeClock(),
        transport=more.pop("transport", None) or ScriptedServer(script),
        loop_factory=VirtualLoop,
        **more,
    )


def assert_law(found: StepLaw, wanted: StepLaw, tolerance: float) -> None:
    for key in ("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us"):
        assert getattr(found, key) == pytest.approx(getattr(wanted, key), rel=tolerance), key


@pytest.mark.parametrize(
    "law",
    [
        LAW,
        StepLaw(step_ms=20.0, per_token_ms=0.05, per_prompt_token_ms=0.08, per_kv_token_us=0.02),
        StepLaw(step_ms=0.8, per_token_ms=0.9, per_prompt_token_ms=0.01, per_kv_token_us=1.5),
    ],
)
@pytest.mark.parametrize("network_ms", [0.1, 30.0])
def test_finds_the_law_whatever_the_network(law: StepLaw, network_ms: float) -> None:
    made = profiled(Script(law=law, network_ms=network_ms, request_ms=2.5))
    profile = made.profile
    assert_law(profile.fit.law, law, 0.005)
    assert profile.fit.max_error is not None
    assert profile.fit.max_error < 0.01
    method = profile.method or {}
    assert method["http_floor_ms"] == pytest.approx(network_ms, abs=1e-3)
    assert method["request_overhead_ms"] == pytest.approx(2.5, rel=0.02)
    assert profile.held_out is not None
    assert profile.held_out.max_error < 0.005
    assert method["injected_prefill_share"] == pytest.approx(1.0, abs=0.02)
    assert made.warnings == ()


def test_points_are_steps_of_the_server_without_the_way_to_it() -> None:
    profile = profiled(Script(network_ms=12.0, request_ms=3.0)).profile
    assert profile_problems(profile) == ()
    assert profile.backend == "endpoint"
    assert profile.origin == "measured"
    assert profile.software is not None
    assert profile.software["engine"] == "vllm 0.0.test"
    law = LAW
    decode = [point for point in profile.points if point.phase == "decode"]
    assert {(point.batch, point.new_tokens) for point in decode} == {(1, 1), (2, 1), (4, 1), (8, 1)}
    assert len({point.context_tokens for point in decode}) == 2
    for point in decode:
        each = law.per_token_ms + law.per_kv_token_us * point.context_tokens / 1000
        assert point.latency_ms.p50 == pytest.approx(law.step_ms + point.batch * each, rel=0.005)
        assert point.samples >= 20
    prefill = [point for point in profile.points if point.phase == "prefill"]
    assert len(prefill) == 6  # five lengths, and the shorter context, which lies between them
    for point in prefill:
        told = law.step_ms + law.per_prompt_token_ms * point.new_tokens
        assert point.latency_ms.p50 == pytest.approx(told, rel=0.005)


def test_several_tokens_a_chunk_are_averaged_and_said() -> None:
    made = profiled(Script(tokens_per_chunk=4), replace(SMALL, output_tokens=64))
    # The last chunk holds what is left, so that the mean tokens of a chunk are a little off.
    assert_law(made.profile.fit.law, LAW, 0.05)
    assert any("several tokens" in text for text in made.warnings)


def test_prefill_that_grows_with_the_square_is_told_from_a_straight_one() -> None:
    fit = profiled(Script(square_us=0.05)).profile.fit
    assert fit.law.per_prompt_token_sq_us == pytest.approx(0.05, rel=0.02)
    assert_law(fit.law, LAW, 0.02)
    assert fit.max_error is not None
    assert fit.max_error < 0.02
    assert profiled().profile.fit.law.per_prompt_token_sq_us is None


def test_server_that_serves_one_at_a_time() -> None:
    made = profiled(Script(cap=1))
    law = made.profile.fit.law
    assert law.step_ms == pytest.approx(LAW.step_ms + LAW.per_token_ms, rel=0.005)
    assert law.per_token_ms == 0.0
    assert {point.batch for point in made.profile.points} == {1}
    assert any("batch_cap = 1" in text for text in made.warnings)


def test_server_with_a_cap_says_where_it_ends() -> None:
    made = profiled(Script(cap=3))
    assert_law(made.profile.fit.law, LAW, 0.005)
    assert any("at most 3 of 8 streams" in text for text in made.warnings)


def test_chat_is_used_where_completions_are_not_served() -> None:
    server = ScriptedServer(Script(chat_only=True))
    profile = profiled(transport=server).profile
    assert (profile.method or {})["api"] == "chat"
    assert_law(profile.fit.law, LAW, 0.005)


def test_answers_may_end_early_without_ignore_eos() -> None:
    made = profiled(Script(takes_ignore_eos=False, stops_at=18))
    assert (made.profile.method or {})["ignore_eos"] is False
    assert_law(made.profile.fit.law, LAW, 0.005)
    assert any("ended before the length asked for" in text for text in made.warnings)


def test_every_prompt_is_new_and_every_answer_has_the_length_asked() -> None:
    server = ScriptedServer()
    profiled(transport=server)
    beginnings = [" ".join(prompt.split()[:4]) for prompt in server.prompts if prompt != "one two three"]
    assert len(set(beginnings)) == len(beginnings) > 50
    assert all(body["ignore_eos"] is True for body in server.bodies)


def test_order_is_drawn_and_the_seed_repeats_it() -> None:
    def sizes(seed: int) -> list[int]:
        server = ScriptedServer()
        profiled(transport=server, settings=replace(SMALL, seed=seed))
        return [len(prompt.split()) for prompt in server.prompts]

    assert sizes(1) == sizes(1)
    assert sizes(1) != sizes(2)


def test_lengths_beyond_the_server_are_left_out_and_named() -> None:
    made = profiled(Script(max_model_len=700))
    assert_law(made.profile.fit.law, LAW, 0.01)
    assert any("longer than the server's 700 tokens" in text for text in made.warnings)
    assert max(point.new_tokens for point in made.profile.points if point.phase == "prefill") < 700


def test_slow_server_gets_fewer_levels_and_the_run_ends() -> None:
    slow = StepLaw(step_ms=400.0, per_token_ms=30.0, per_prompt_token_ms=20.0, per_kv_token_us=15.0)
    made = profiled(Script(law=slow), settings=replace(SMALL, budget_s=120.0, request_timeout_s=900.0, stall_s=600.0))
    assert any("too slow for the budget" in text for text in made.warnings)
    assert_law(made.profile.fit.law, slow, 0.02)


def test_a_server_that_speculates_is_told_loudly() -> None:
    made = profiled(Script(metrics=True, speculates=True))
    method = made.profile.method or {}
    assert any("speculates itself" in text for text in made.warnings)
    assert method["server_speculates"] is True
    assert method["spec_tokens_per_round"] == pytest.approx(2.1)
    assert method["spec_survival"] == "0.7, 0.4"
    assert method["kv_blocks"] == 512
    assert method["prefix_hit_share"] == 0.0


def test_others_on_the_server_are_noticed() -> None:
    alone = profiled(Script(metrics=True))
    assert alone.warnings == ()
    assert (alone.profile.method or {})["contention"] is None
    shared = profiled(Script(metrics=True, others=True))
    assert any("others used the server" in text for text in shared.warnings)
    assert "prompt tokens" in str((shared.profile.method or {})["contention"])


def test_a_server_that_slows_down_is_noticed() -> None:
    assert (profiled().profile.method or {})["drift"] == pytest.approx(0.0, abs=1e-3)
    made = profiled(Script(slows=0.1))
    assert any("not steady" in text for text in made.warnings)


def test_levels_that_are_known_are_not_visited_again() -> None:
    server = ScriptedServer()
    profiled(transport=server, settings=replace(SMALL, rounds=2))
    many = ScriptedServer()
    profiled(transport=many, settings=replace(SMALL, rounds=9))
    injections = 7 * (4 + 3)
    assert many.generating == server.generating + injections


def test_contexts_that_are_one_to_the_server_give_one_point() -> None:
    profile = profiled(settings=replace(SMALL, contexts=(64, 65, 512))).profile
    assert profile_problems(profile) == ()


def test_prompts_that_cost_more_among_decoding_streams_are_noticed() -> None:
    made = profiled(Script(mixed=3.0))
    assert_law(made.profile.fit.law, LAW, 0.005)
    method = made.profile.method or {}
    assert method["injected_prefill_share"] == pytest.approx(3.0, rel=0.02)
    assert any("3.0 times what the profile says" in text for text in made.warnings)
    scale, error = method["open_run_load_scale"], method["open_run_error_scaled"]
    assert isinstance(scale, float)
    assert scale > 1.1
    assert any(f"load_scale = {scale:.3f}" in text for text in made.warnings)
    assert made.profile.held_out is not None
    assert isinstance(error, float)
    assert error < made.profile.held_out.mean_error


def test_the_address_is_not_saved_unless_asked_for() -> None:
    assert "server.test" not in repr(profiled().profile)
    assert (profiled(keep_url=True).profile.method or {})["url"] == "http://server.test/v1"


def test_a_model_named_by_a_path_keeps_its_last_part() -> None:
    assert profiled(Script(models=("/srv/weights/owner/llama-1b",))).profile.model == "llama-1b"
