"""Speculation must be indistinguishable from plain decoding, exactly: laws are enumerated, not sampled."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from dsd_plan.pair import speculate, verdicts
from dsd_plan.pair.sampling import SeededChance, distribution
from dsd_plan.pair.shape import ModelShape
from dsd_plan.pair.speculate import Round, decode, speculate_argmax, speculate_sampled
from dsd_plan.pair.transformer import KvCache
from tests.pair.enumerated_chance import exact_law

SMALL = ModelShape(vocab=3, width=8, layers=1, heads=2, kv_heads=1, ffn=8, max_context=32)
PROMPT = (1, 0, 2)
Law = dict[tuple[int, ...], float]


@pytest.fixture(scope="module")
def models(make_model: Any) -> Any:
    """A target and a draft that disagree a good deal."""
    return make_model(seed=1, shape=SMALL, spread=1.6), make_model(seed=2, shape=SMALL, spread=1.6)


def target_law(target: Any, tokens: int, temperature: float, top_p: float) -> Law:
    """Probability of every continuation, by the chain rule from uncached passes."""
    law: Law = {(): 1.0}
    for _ in range(tokens):
        longer: Law = {}
        for said, probability in law.items():
            sequence = np.array([PROMPT + said])
            logits = target.forward(sequence, target.new_cache(1, sequence.shape[1]))[0, -1]
            for token, share in enumerate(distribution(logits, temperature, top_p)):
                if share > 0.0:
                    longer[(*said, token)] = probability * share
        law = longer
    return law


def speculated_law(run: Any, models: Any, window: int, tokens: int, temperature: float, top_p: float) -> Law:
    def once(chance: Any) -> tuple[int, ...]:
        (output,) = run(
            *models, [PROMPT], window=window, output_tokens=tokens, chance=chance, temperature=temperature, top_p=top_p
        )
        return output.tokens

    return exact_law(once)


def distance(a: Law, b: Law) -> float:
    """Total variation."""
    return 0.5 * sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in a.keys() | b.keys())


CASES = [
    (speculate_argmax, 1, 3, 1.0, 1.0),
    (speculate_argmax, 2, 3, 0.7, 0.9),
    (speculate_argmax, 2, 3, 1.3, 0.8),
    (speculate_sampled, 1, 2, 1.0, 1.0),
    (speculate_sampled, 2, 2, 1.0, 1.0),
    (speculate_sampled, 1, 3, 0.8, 0.85),
]


@pytest.mark.parametrize(("run", "window", "tokens", "temperature", "top_p"), CASES)
def test_output_has_exactly_the_targets_law(
    models: Any, run: Any, window: int, tokens: int, temperature: float, top_p: float
) -> None:
    found = speculated_law(run, models, window, tokens, temperature, top_p)
    expected = target_law(models[0], tokens, temperature, top_p)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-9)
    assert distance(found, expected) < 1e-6


PATHS = [
    (speculate_argmax, 2, 2, 3, 1.0, 1.0),
    (speculate_argmax, 2, 3, 3, 0.8, 0.9),
    (speculate_sampled, 2, 1, 2, 1.0, 1.0),
    (speculate_sampled, 3, 1, 1, 1.3, 1.0),
    (speculate_sampled, 2, 2, 2, 0.5, 0.9),
]


@pytest.mark.parametrize(("run", "candidates", "window", "tokens", "temperature", "top_p"), PATHS)
def test_several_candidate_paths_keep_exactly_the_targets_law(
    models: Any, run: Any, candidates: int, window: int, tokens: int, temperature: float, top_p: float
) -> None:
    def several(*pair: Any, **options: Any) -> Any:
        return run(*pair, candidates=candidates, **options)

    found = speculated_law(several, models, window, tokens, temperature, top_p)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-9)
    assert distance(found, target_law(models[0], tokens, temperature, top_p)) < 1e-6


def test_trying_a_refused_path_against_the_whole_target_is_found_out(
    models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_residual", lambda wanted, offered: wanted)
    several = partial(speculate_sampled, candidates=2)
    found = speculated_law(several, models, 1, 2, 1.0, 1.0)
    assert distance(found, target_law(models[0], 2, 1.0, 1.0)) > 0.01


@pytest.mark.parametrize("run", [speculate_argmax, speculate_sampled])
def test_more_paths_are_accepted_more_often_and_stay_greedy_at_temperature_zero(make_model: Any, run: Any) -> None:
    target, draft = make_model(seed=3), make_model(seed=4)
    prompts = [(1, 2, 3), (4,), (5, 6, 7, 8, 9)]
    options = {"output_tokens": 20, "temperature": 0.0}
    plain = decode(target, prompts, chance=chance_of(3), **options)
    accepted = []
    for candidates in (1, 4):
        outputs = run(target, draft, prompts, window=3, candidates=candidates, chance=chance_of(3), **options)
        assert [output.tokens for output in outputs] == list(plain)
        accepted.append(sum(done.accepted for output in outputs for done in output.rounds[:5]))
    # At temperature 0 sampled paths are all the same; the argmax paths differ in their first token.
    assert (accepted[1] > accepted[0]) == (run is speculate_argmax)


@pytest.mark.parametrize("run", [speculate_argmax, speculate_sampled])
def test_with_several_paths_a_request_does_not_depend_on_its_neighbours(make_model: Any, run: Any) -> None:
    target, draft = make_model(seed=6), make_model(seed=7)
    prompts = [(1, 2, 3), (4,), (5, 6, 7, 8, 9, 10)]
    options = {"window": 3, "output_tokens": 20, "candidates": 3}
    together = run(target, draft, prompts, chance=SeededChance([np.random.default_rng(s) for s in range(3)]), **options)
    for seed, (prompt, output) in enumerate(zip(prompts, together, strict=True)):
        (alone,) = run(target, draft, [prompt], chance=SeededChance([np.random.default_rng(seed)]), **options)
        assert alone.tokens == output.tokens
        assert alone.rounds == output.rounds


def test_a_stop_token_ends_a_request_and_is_kept(make_model: Any) -> None:
    target, draft = make_model(seed=6), make_model(seed=7)
    prompts = [(1, 2, 3), (4,)]
    options = {"window": 3, "output_tokens": 30}
    whole = speculate_argmax(target, draft, prompts, chance=chance_of(2), **options)
    stopped = speculate_argmax(target, draft, prompts, chance=chance_of(2), stop={5}, **options)
    for through, cut in zip(whole, stopped, strict=True):
        end = through.tokens.index(5) + 1
        assert cut.tokens == through.tokens[:end]
        assert cut.matches == through.matches[:end]
        assert cut.rounds == through.rounds[: len(cut.rounds)]


def test_a_stopwatch_tells_the_time_of_drafting_and_of_verifying(make_model: Any) -> None:
    readings = iter(range(100))
    (output,) = speculate_argmax(
        make_model(seed=6),
        make_model(seed=7),
        [(1,)],
        window=2,
        output_tokens=6,
        chance=chance_of(1),
        stopwatch_ms=lambda: float(next(readings)) ** 2,
    )
    # Readings 0, 1, 2 | 3, 4, 5 | …: the squares are 2n + 1 apart.
    expected = [(6.0 * n + 1.0, 6.0 * n + 3.0) for n in range(len(output.rounds))]
    assert [(done.draft_ms, done.verify_ms) for done in output.rounds] == expected


def test_a_wrong_residual_is_found_out(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = speculate.judge_sampled

    def wrong(wanted: Any, proposed: Any, offered: Any, chance: Any) -> Any:
        class FromTarget:
            def accept(self, probabilities: Any) -> Any:
                return chance.accept(probabilities)

            def choose(self, probabilities: Any) -> Any:
                return chance.choose(wanted[:, 0])

        return right(wanted, proposed, offered, FromTarget())

    monkeypatch.setattr(speculate, "judge_sampled", wrong)
    found = speculated_law(speculate_sampled, models, 1, 2, 1.0, 1.0)
    assert distance(found, target_law(models[0], 2, 1.0, 1.0)) > 0.01


def test_taking_likely_proposals_for_granted_is_found_out(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = speculate.judge_argmax

    def lenient(wanted: Any, proposed: Any, chance: Any) -> Any:
        likely = np.take_along_axis(wanted, proposed[..., None], axis=-1)[..., 0] > 0.2
        verdict = right(wanted, proposed, chance)
        emitted = np.where(likely, proposed, verdict.emitted)
        matches = emitted == proposed
        accepted = np.logical_and.accumulate(matches[:, :-1], axis=1).sum(axis=1)
        return type(verdict)(emitted=emitted, accepted=accepted, matches=matches)

    monkeypatch.setattr(speculate, "judge_argmax", lenient)
    found = speculated_law(speculate_argmax, models, 1, 2, 1.0, 1.0)
    assert distance(found, target_law(models[0], 2, 1.0, 1.0)) > 0.01


def test_rolling_back_one_token_too_far_is_found_out(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = KvCache.truncate
    monkeypatch.setattr(KvCache, "truncate", lambda self, lengths: right(self, np.maximum(lengths - 1, 1)))
    found = speculated_law(speculate_argmax, models, 1, 3, 1.0, 1.0)
    assert distance(found, target_law(models[0], 3, 1.0, 1.0)) > 0.01


@pytest.mark.parametrize("run", [speculate_argmax, speculate_sampled])
@pytest.mark.parametrize("window", [1, 3, 7])
def test_at_temperature_zero_it_is_greedy_decoding(make_model: Any, run: Any, window: int) -> None:
    target, draft = make_model(seed=3), make_model(seed=4)
    prompts = [(1, 2, 3), (4,), (5, 6, 7, 8, 9)]
    options = {"output_tokens": 20, "temperature": 0.0}
    plain = decode(target, prompts, chance=chance_of(3), **options)
    outputs = run(target, draft, prompts, window=window, chance=chance_of(3), **options)
    assert [output.tokens for output in outputs] == list(plain)


def chance_of(count: int, seed: int = 0) -> SeededChance:
    return SeededChance(np.random.default_rng(seed).spawn(count))


def test_a_draft_equal_to_its_target_is_always_accepted_when_sampled(make_model: Any) -> None:
    model = make_model(seed=5)
    (output,) = speculate_sampled(model, model, [(1, 2)], window=4, output_tokens=15, chance=chance_of(1))
    assert output.rounds == (Round(4, 4),) * 3
    assert len(output.tokens) == 15


@pytest.mark.parametrize("run", [speculate_argmax, speculate_sampled])
def test_a_request_does_not_depend_on_its_neighbours(make_model: Any, run: Any) -> None:
    target, draft = make_model(seed=6), make_model(seed=7)
    prompts = [(1, 2, 3), (4,), (5, 6, 7, 8, 9, 10), (0, 0)]
    generators = [np.random.default_rng(seed) for seed in range(4)]
    options = {"window": 3, "output_tokens": 25}
    together = run(target, draft, prompts, chance=SeededChance(generators), **options)
    for seed, (prompt, output) in enumerate(zip(prompts, together, strict=True)):
        (alone,) = run(target, draft, [prompt], chance=SeededChance([np.random.default_rng(seed)]), **options)
        assert alone.tokens == output.tokens
        assert alone.rounds == output.rounds
        assert alone.matches == output.matches
        assert alone.confidence == pytest.approx(output.confidence, abs=1e-4)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_match_bits_are_what_the_draft_would_have_said_at_every_token(make_model: Any, window: int) -> None:
    target, draft = make_model(seed=8), make_model(seed=9)
    prompt = (3, 1, 4)
    (output,) = speculate_argmax(target, draft, [prompt], window=window, output_tokens=30, chance=chance_of(1))
    sequence = np.array([prompt + output.tokens])
    logits = draft.forward(sequence, draft.new_cache(1, 33))[0, len(prompt) - 1 : -1]
    said = logits.argmax(axis=-1)
    sure = distribution(logits, 1.0).max(axis=-1)
    assert output.matches == tuple((said == output.tokens).tolist())
    assert output.confidence == pytest.approx(sure, abs=1e-4)
    assert 0 < sum(output.matches) < 30


@pytest.mark.parametrize("window", [1, 2, 5])
def test_rounds_are_runs_of_match_bits_cut_at_the_window(make_model: Any, window: int) -> None:
    target, draft = make_model(seed=8), make_model(seed=9)
    (output,) = speculate_argmax(target, draft, [(3, 1)], window=window, output_tokens=40, chance=chance_of(1, 5))
    position = 0
    for done in output.rounds[:-1]:
        run = output.matches[position : position + window]
        assert done == Round(window, run.index(False) if False in run else window)
        position += done.accepted + 1
    assert position < 40 <= position + output.rounds[-1].accepted + 1


def test_what_cannot_be_run_is_refused(make_model: Any) -> None:
    model = make_model()
    with pytest.raises(ValueError, match="at least one token"):
        speculate_argmax(model, model, [()], window=1, output_tokens=1, chance=chance_of(1))
    with pytest.raises(ValueError, match="window 0"):
        speculate_argmax(model, model, [(1,)], window=0, output_tokens=1, chance=chance_of(1))
    with pytest.raises(ValueError, match="capacity is 49"):
        speculate_argmax(model, model, [(1,)], window=4, output_tokens=44, chance=chance_of(1))
