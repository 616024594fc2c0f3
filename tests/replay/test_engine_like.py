"""Engine-like targets: steps worked by hand, and the kernel against the twin bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.step_time import engine_step_ms, iteration_ms, surface_of
from dsd_plan.domain.workload import Requests
from dsd_plan.errors import PlanError
from dsd_plan.replay.conversations import least_prefill
from dsd_plan.replay.whole_run import whole_run
from tests.replay.builder import closed, poisson, profile, recorded, system
from tests.replay.runs import kernel_run
from tests.replay.test_twin import ACCEPTANCES, LAWS, TIRING, assert_identical, faults
from tests.replay.twin import Twin

STEP = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1)
MIXED = StepLaw(
    step_ms=10.0,
    knots=((1.0, 10.0), (16.0, 12.0), (64.0, 40.0)),
    per_kv_token_us=2.0,
    mixed_kv_token_us=3.0,
    per_prompt_token_sq_us=0.5,
)


def lone(requests: Requests, law: StepLaw = STEP, **engine: int | bool) -> Deployed:
    return system(requests, mode="target_only", target=law, engine=engine, memory_gib=64.0)


@st.composite
def systems(draw: st.DrawFn, faulty: bool = False) -> Deployed:
    def requests() -> Requests:
        prompt, output = draw(st.integers(1, 120)), draw(st.integers(1, 40))
        kind = draw(st.sampled_from(["poisson", "closed", "trace"]))
        if kind == "poisson":
            return poisson(draw(st.sampled_from([5.0, 40.0])), prompt, output)
        if kind == "closed":
            return closed(draw(st.integers(1, 9)), draw(st.sampled_from([0.0, 0.3])), prompt, output)
        n = draw(st.integers(2, 12))
        arrivals = [draw(st.sampled_from([0.0, 0.01, 0.02, 0.3])) * i for i in range(n)]
        lengths = draw(st.lists(st.integers(1, 120), min_size=n, max_size=n))
        outputs = draw(st.lists(st.integers(1, 40), min_size=n, max_size=n))
        if draw(st.booleans()):
            talks = np.array(draw(st.lists(st.sampled_from(["x", "y"]), min_size=n, max_size=n)))
            return replace(recorded(sorted(arrivals), sorted(lengths), outputs), conversation=talks)
        return recorded(sorted(arrivals), lengths, outputs, [i % p for i, p in enumerate(lengths)])

    names = ["a", "b"][: draw(st.integers(1, 2))]
    block = draw(st.sampled_from([1, 4, 16]))
    most = 160 + 6 * 3
    modes = ["target_only", "fused", "distributed", "pipelined"]
    mode = {name: draw(st.sampled_from(modes)) for name in names}
    strikes = faults([("edge", "region")])
    return system(
        {name: requests() for name in names},
        mode=mode,
        faults=draw(st.lists(strikes, min_size=1, max_size=4)) if faulty else [],
        window={name: draw(st.integers(1, 5)) for name in names},
        target=draw(st.sampled_from(TIRING))(draw(st.sampled_from([*LAWS.values(), MIXED]))),
        fused=draw(st.sampled_from([StepLaw(step_ms=1.0, per_token_ms=0.01), LAWS["grid"]])),
        acceptance=draw(st.sampled_from(list(ACCEPTANCES.values()))),
        priority={name: draw(st.sampled_from([0, 0, 1, -3])) for name in names},
        replicas=draw(st.integers(1, 2)),
        devices=draw(st.integers(1, 3)),
        engine={
            "max_sequences": draw(st.sampled_from([1, 2, 5, 256])),
            "kv_block_tokens": block,
            "kv_blocks": 1 + -(-most // block) + draw(st.integers(0, 200)) // block,
            "async_scheduling": draw(st.booleans()),
            "prefix_cache": draw(st.sampled_from([True, True, False])),
        }
        | draw(st.sampled_from([{}, {"token_cap": 7}, {"token_cap": 64}])),
    )


@given(systems(faulty=True), st.integers(0, 2**70))
@settings(max_examples=250)
def test_they_agree_under_faults(deployed: Deployed, seed: int) -> None:
    assert_identical(deployed, seed)


@given(systems(), st.integers(0, 2**70))
@settings(max_examples=200)
def test_kernel_and_twin_agree_bit_for_bit(deployed: Deployed, seed: int) -> None:
    twin = assert_identical(deployed, seed)
    run = kernel_run(deployed, seed, 2, 60)
    replicas = run.tables["replicas"]
    assert replicas["preempted"].tolist() == [engine.preemptions for engine in twin.engines.values()]
    assert replicas["blocks"].tolist() == [engine.engine.blocks for engine in twin.engines.values()]


def test_the_scenarios_preempt_and_reuse() -> None:
    deployed = lone(closed(8, 0.0, 50, 100), kv_blocks=1 + 40, kv_block_tokens=8, token_cap=32, async_scheduling=True)
    twin: Twin = assert_identical(deployed, most=40)
    assert sum(engine.preemptions for engine in twin.engines.values()) > 5


def test_an_arrival_waits_for_the_step_in_flight_and_for_the_one_planned() -> None:
    """First request: prompt 100 in 20 ms, then steps of 10 ms. The second comes at 25 ms, in the step 20 … 30."""
    asked = recorded([0.0, 0.025], [100, 100], [10, 10])
    without, ahead = (whole_run(_near(lone(asked, async_scheduling=flag))) for flag in (False, True))
    assert without.first_ms.tolist() == pytest.approx([20.0, 30.0 + 20.0])
    # 30 … 40 was planned at 20, when the step before it began.
    assert ahead.first_ms.tolist() == pytest.approx([20.0, 40.0 + 20.0])


def test_a_prompt_is_computed_in_chunks_beside_decodes() -> None:
    """Budget 40: 40 of 100 tokens in 14 ms, 40 in 14 ms, 20 in 12 ms; then beside a decode, which takes one."""
    alone = whole_run(_near(lone(recorded([0.0, 5.0], [100, 1], [1, 1]), token_cap=40, max_sequences=9)))
    assert alone.first_ms[0] == pytest.approx(14.0 + 14.0 + 12.0)
    asked = recorded([0.0, 0.001], [10, 100], [9, 1])
    both = whole_run(_near(lone(asked, token_cap=40, max_sequences=9)))
    # 11 ms for ten tokens, then 39, 39 and 22 of the second's beside a decode.
    assert both.first_ms.tolist() == pytest.approx([11.0, 11.0 + 13.9 + 13.9 + 12.2])


def test_the_newest_is_preempted_and_computes_its_sequence_again() -> None:
    """Four blocks of 8 for two sessions of 8 + 9 tokens: both need a third block for their tenth token."""
    asked = recorded([0.0, 0.0], [8, 8], [10, 10])
    run = whole_run(_near(lone(asked, kv_blocks=1 + 4, kv_block_tokens=8, max_sequences=9, prefix_cache=False)))
    assert run.preemptions == 1
    # Two prompts: 11.6 ms. Eight steps of both, then one of the first alone, for its tenth token.
    assert run.first_ms.tolist() == pytest.approx([11.6, 11.6])
    assert run.last_ms[0] == pytest.approx(11.6 + 9 * 10.0)
    # The second has nine tokens: 8 + 9 are computed in 11.7 ms, and give the tenth.
    assert run.last_ms[1] == pytest.approx(11.6 + 9 * 10.0 + 11.7)


def test_what_was_preempted_may_still_be_in_the_cache() -> None:
    """As above: of the two blocks given back, the first user takes one, the last; eight tokens need no computing."""
    asked = recorded([0.0, 0.0], [8, 8], [10, 10])
    run = whole_run(_near(lone(asked, kv_blocks=1 + 4, kv_block_tokens=8, max_sequences=9)))
    assert run.last_ms[1] == pytest.approx(11.6 + 9 * 10.0 + 10.9)


TURNS = ([0.0, 1.0, 2.0], [16, 40, 50], [9, 5, 1])
"""A conversation: 16 + 9 tokens, then a prompt of 40, 45 after its answer, then one of 50."""


def talking(**engine: int | bool) -> Deployed:
    asked = replace(recorded(*TURNS), conversation=np.zeros(3, dtype=np.int64))
    return _near(lone(asked, kv_block_tokens=8, **engine))


def test_earlier_turns_are_in_the_cache() -> None:
    """Of 25 tokens 24 were computed, three full blocks; of 45 44, five: 16 and 10 tokens of the prompts are new."""
    run = whole_run(talking(kv_blocks=100))
    assert (run.first_ms - np.array(TURNS[0]) * 1000).tolist() == pytest.approx([11.6, 11.6, 11.0])
    without = whole_run(talking(kv_blocks=100, prefix_cache=False))
    assert (without.first_ms - np.array(TURNS[0]) * 1000).tolist() == pytest.approx([11.6, 14.0, 15.0])


def test_blocks_of_earlier_turns_are_taken_when_they_are_the_oldest() -> None:
    """Ten blocks. The turn gives back three; another request takes the seven that were free before, and one of them."""
    arrivals, prompts, outputs = [0.0, 0.5, 1.0], [16, 60, 40], [9, 1, 1]
    asked = replace(recorded(arrivals, prompts, outputs), conversation=np.array(["a", "b", "a"]))
    run = whole_run(_near(lone(asked, kv_block_tokens=8, kv_blocks=11)))
    # The last of the three goes first: two full blocks are left, and 24 of 40 tokens are computed.
    assert (run.first_ms - np.array(arrivals) * 1000).tolist() == pytest.approx([11.6, 16.0, 12.4])


def test_what_does_not_go_on_from_the_last_turn_is_computed_whole() -> None:
    asked = replace(recorded([0.0, 1.0], [16, 20], [9, 1]), conversation=np.array([7, 7]))
    run = whole_run(_near(lone(asked, kv_block_tokens=8, kv_blocks=100)))
    assert run.first_ms[1] - 1000.0 == pytest.approx(12.0)


def test_a_conversation_counts_as_the_recording_says_where_it_does() -> None:
    asked = replace(recorded(*TURNS, [0, 30, 0]), conversation=np.zeros(3, dtype=np.int64))
    run = whole_run(_near(lone(asked, kv_block_tokens=8, kv_blocks=100)))
    assert (run.first_ms - np.array(TURNS[0]) * 1000).tolist() == pytest.approx([11.6, 11.0, 15.0])


def test_the_load_is_the_least_that_conversations_ask_for() -> None:
    """New tokens: 16, then 40 − 25, then 50 − 45."""
    asked = replace(recorded(*TURNS), conversation=np.zeros(3, dtype=np.int64))
    assert asked.conversation is not None
    assert least_prefill(asked, asked.conversation).tolist() == [16, 15, 5]


def test_no_more_sequences_than_the_cap() -> None:
    asked = recorded([0.0, 0.0, 0.0], [10, 10, 10], [3, 3, 3])
    run = whole_run(_near(lone(asked, max_sequences=2)))
    assert run.first_ms.tolist() == pytest.approx([12.0, 12.0, 12.0 + 20.0 + 11.0])


def test_a_sequence_that_can_never_fit_is_refused() -> None:
    with pytest.raises(PlanError, match="needs 15 KV blocks"):
        whole_run(_near(lone(recorded([0.0, 1.0], [100, 10], [20, 1]), kv_blocks=15, kv_block_tokens=8)))


def test_a_stream_that_never_ends_has_no_whole_run() -> None:
    with pytest.raises(PlanError, match="not a recording"):
        whole_run(lone(poisson(3.0), max_sequences=4))


@pytest.mark.parametrize("law", [*LAWS.values(), MIXED])
def test_a_homogeneous_step_is_the_tables(law: StepLaw) -> None:
    surface = surface_of(profile(law, "target"))
    assert engine_step_ms(surface, 5.0, 1.0, 100.0, 0.0, 0.0, 0.0) == iteration_ms(surface, 5.0, 1.0, 100.0, 0.0, 0.0)
    assert engine_step_ms(surface, 0.0, 0.0, 0.0, 3.0, 60.0, 1200.0) == iteration_ms(surface, 0.0, 0.0, 0.0, 3.0, 20.0)


def test_terms_of_a_mixed_step() -> None:
    """4 decodes over 50 tokens each, a chunk of 28 on top of 100: 32 new tokens lie between the knots 16 and 64."""
    surface = surface_of(profile(MIXED, "target"))
    bent = 12.0 + 28.0 * (32 - 16) / 48
    reads = (2.0 + 3.0) * 200 / 1000
    squares = 0.5 * (128**2 - 100**2) / 1000
    assert engine_step_ms(surface, 4.0, 1.0, 50.0, 1.0, 28.0, 128.0**2 - 100.0**2) == pytest.approx(
        bent + reads + squares
    )


def _near(deployed: Deployed) -> Deployed:
    """Users beside the target: no way to go."""
    return replace(deployed, streams=tuple(replace(stream, up=(), down=()) for stream in deployed.streams))
