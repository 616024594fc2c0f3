"""Gaps between chunks, placed in time by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.measure.endpoint.plan import Answer, EndpointSettings, Trial, TrialResult, affordable, trials_of
from dsd_plan.measure.endpoint.steps import decode_level, gaps_of, half_width, spread
from dsd_plan.measure.endpoint.text import Prompts, word_count


def answer(sent_s: float, *arrivals_s: float, prompt: int = 10, tokens: int | None = None) -> Answer:
    return Answer(
        sent_s=sent_s,
        arrivals_s=arrivals_s,
        prompt_tokens=prompt,
        completion_tokens=len(arrivals_s) if tokens is None else tokens,
    )


def test_two_streams_and_one_that_comes_in_between() -> None:
    long = answer(0.0, 1.0, 2.0, 3.0, 4.0, prompt=10)
    late = answer(1.6, 3.0, 4.0, prompt=100)
    gaps = gaps_of([long, late])
    assert gaps.ms.tolist() == pytest.approx([1000.0] * 4)
    assert gaps.stream.tolist() == [0, 0, 0, 1]
    assert gaps.batch.tolist() == [1, 1, 2, 2]
    # In the first step after its prompt a stream has the prompt cached, and one token more with every step.
    assert gaps.kv_tokens.tolist() == [10, 11, 12 + 100, 12 + 100]
    assert gaps.waiting.tolist() == [1, 1, 0, 0]
    assert gaps.entering.tolist() == [False, True, False, False]


def test_steps_count_where_nobody_waits() -> None:
    first = [0.1 * step for step in range(1, 21)]
    second = [time for time in first if time > 0.95]
    answers = (answer(0.0, *first), answer(0.85, *second))
    trial = Trial(phase="closed", concurrency=2, prompt_tokens=10, output_tokens=20, round=0)
    level = decode_level([TrialResult(trial=trial, answers=answers)])
    assert level is not None
    assert level.batch == 2
    assert level.latency_ms.p50 == pytest.approx(100.0)
    assert level.steps == 10
    assert not level.queued
    assert not level.averaged


def test_chunks_that_arrive_together_are_averaged() -> None:
    bursts = [0.4 * burst + 0.001 * part for burst in range(1, 9) for part in range(4)]
    trial = Trial(phase="alone", concurrency=1, prompt_tokens=10, output_tokens=32, round=0)
    level = decode_level([TrialResult(trial=trial, answers=(answer(0.0, *bursts),))])
    assert level is not None
    assert level.averaged
    assert level.latency_ms.p50 == pytest.approx(1000 * (bursts[-1] - bursts[0]) / 31)


def test_a_median_of_shared_steps_is_no_surer_than_their_number() -> None:
    samples = np.arange(1.0, 101.0)
    alone, shared = spread(samples, 100), spread(samples, 9)
    assert (alone.p50, shared.p50) == (50.5, 50.5)
    assert alone.p50_low == pytest.approx(np.quantile(samples, 0.5 - 0.098))
    assert shared.p50_low is not None
    assert shared.p50_low < (alone.p50_low or 0.0)


@pytest.mark.parametrize("independent", [1, 2, 5])
def test_too_few_independent_samples_leave_the_median_without_an_interval(independent: int) -> None:
    """Five hold it between their ends with 1 - 2/2^5 = 94 %, six with 97 %."""
    stats = spread(np.full(3 * independent, 7.0), independent)
    assert (stats.p50_low, stats.p50_high) == (None, None)
    assert half_width(stats) == 1.0
    assert spread(np.full(18, 7.0), 6).p50_low == 7.0


def test_words_and_tokens() -> None:
    count = word_count((10, 25), (110, 225))
    assert (count.fixed, count.per_word) == (5.0, 2.0)
    assert count.words(205) == 100
    assert count.words(1) == 1
    prompts = Prompts(0, 1)
    assert len(prompts.text(7).split()) == 7
    assert prompts.text(30) != prompts.text(30)
    assert Prompts(0, 1).text(5) != Prompts(0, 2).text(5)


def test_every_round_holds_every_level_once_in_an_order_of_its_own() -> None:
    settings = EndpointSettings(rounds=3, seed=4)
    trials = trials_of(settings)
    rounds = [[trial.level for trial in trials if trial.round == number] for number in range(3)]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(rounds[2])
    assert len(set(rounds[0])) == len(rounds[0]) == 2 + 6 + 6 + 1
    assert rounds[0] != rounds[1]


def test_the_dearest_levels_go_first_and_two_of_each_phase_stay() -> None:
    settings = EndpointSettings(budget_s=10.0)
    kept, dropped = affordable(trials_of(settings), 0.05, 0.001, settings)
    assert {trial.prompt_tokens for trial in dropped if trial.phase == "idle"} == {1024, 2048, 4096, 8192}
    assert ("closed", 32, 4096) in {trial.level for trial in dropped}
    for phase in ("alone", "idle", "closed"):
        assert len({trial.level for trial in kept if trial.phase == phase}) == 2
    everything = affordable(trials_of(settings), 1e-4, 1e-6, settings)
    assert everything[1] == ()
