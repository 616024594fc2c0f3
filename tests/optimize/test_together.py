"""Many noisy budgets: simulated with a truth that is known, so that what is said of them can be counted against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dsd_plan.domain.scenario import Mode
from dsd_plan.optimize.choices.budgets import Limit, Reading
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.confirmation.together import Key, standing_words, together

QUANTITY = "tpot_p95_ms"
MODE: Mode = "fused"
RUNS = 8


@dataclass(frozen=True)
class Simulated:
    choice: Choice
    expected: Reading
    seen: Reading
    runs: list[Reading]
    limits: list[Limit]
    truth: dict[Key, float]


def simulated(
    seed: int,
    targets: int = 40,
    each: int = 20,
    *,
    model: float = 0.03,
    scatter: float = 0.01,
    bad_minutes: float = 0.15,
    luck: float = 0.1,
) -> Simulated:
    """Truth is off from the model by `model` a target and `scatter` a workload; a replication from the truth by
    `bad_minutes` a target, for all on it alike, and `luck` a workload (standard deviations of logarithms)."""
    rng = np.random.default_rng(seed)
    names = [(f"w{t}.{k}", f"gpu{t}") for t in range(targets) for k in range(each)]
    where = np.repeat(np.arange(targets), each)
    expected = rng.uniform(40.0, 100.0, len(names))
    truth = expected * np.exp(rng.normal(0.0, model, targets)[where] + rng.normal(0.0, scatter, len(names)))
    noise = rng.normal(0.0, bad_minutes, (RUNS, targets))[:, where] + rng.normal(0.0, luck, (RUNS, len(names)))
    runs = truth * np.exp(noise)
    seen = truth * np.exp(noise.mean(axis=0))
    # Plans fill budgets up by the model: some are just kept by it, others have plenty of room.
    limits = expected * (1.0 + rng.exponential(0.1, len(names)))
    keys = [(name, QUANTITY) for name, _ in names]
    candidates = tuple(Candidate(name, MODE, "big", gpu, "small", gpu, 3) for name, gpu in names)
    return Simulated(
        Choice(candidates, tuple((f"gpu{t}", 1) for t in range(targets))),
        dict(zip(keys, map(float, expected), strict=True)),
        dict(zip(keys, map(float, seen), strict=True)),
        [dict(zip(keys, map(float, run), strict=True)) for run in runs],
        [Limit(name, QUANTITY, float(limit)) for (name, _), limit in zip(names, limits, strict=True)],
        dict(zip(keys, map(float, truth), strict=True)),
    )


MANY = [simulated(seed) for seed in range(12)]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    inside = total = 0
    for given in MANY:
        found = together(given.choice, given.expected, given.seen, given.runs, given.limits)
        inside += sum(one.value.low <= given.truth[key] <= one.value.high for key, one in found.items())
        total += len(found)
    assert total == 12 * 800
    assert 0.92 < inside / total < 0.985


def test_it_is_nearer_to_the_truth_than_replay_and_model_are() -> None:
    errors = np.zeros(3)
    for given in MANY:
        found = together(given.choice, given.expected, given.seen, given.runs, given.limits)
        for key, one in found.items():
            said = (one.value.point, given.seen[key], given.expected[key])
            errors += [np.log((value or 0.0) / given.truth[key]) ** 2 for value in said]
    both, replay, model = np.sqrt(errors)
    assert both < 0.55 * replay  # chance of .06 a workload, of which .05 its target's
    assert both < 0.97 * model  # which is off by .03 a target


def test_of_what_is_surely_kept_or_broken_hardly_any_is_not() -> None:
    """Chances add up to the number that is broken, rather to more of them than to fewer."""
    chance = broken = 0.0
    sure = {True: [0, 0], False: [0, 0]}
    for given in (*MANY, *(simulated(seed, model=0.12) for seed in range(100, 106))):
        limits = {(limit.scope, limit.quantity): limit.limit for limit in given.limits}
        for key, one in together(given.choice, given.expected, given.seen, given.runs, given.limits).items():
            truly = given.truth[key] > limits[key]
            chance, broken = chance + one.chance_broken, broken + truly
            if not one.undecided:
                said = one.chance_broken > 0.5
                sure[said][0] += 1
                sure[said][1] += said != truly
    assert broken > 500
    assert 0.9 * broken < chance < 1.4 * broken
    (kept, falsely_kept), (really, falsely_broken) = sure[False], sure[True]
    assert kept > 4500
    assert falsely_kept < 0.005 * kept
    assert really > 50
    assert falsely_broken <= 0.03 * really


def test_the_worst_of_eight_hundred_is_no_selection_of_the_unluckiest() -> None:
    """The largest share of a budget: by replays alone it overstates the truth, by both together it holds it."""
    overstated, held = [], 0
    for given in MANY:
        limits = {(limit.scope, limit.quantity): limit.limit for limit in given.limits}
        found = together(given.choice, given.expected, given.seen, given.runs, given.limits)
        unlucky = max(given.seen, key=lambda key: (given.seen[key] or 0.0) / limits[key])
        overstated.append((given.seen[unlucky] or 0.0) / given.truth[unlucky])
        worst = max(found, key=lambda key: found[key].value.point / limits[key])
        held += found[worst].value.low <= given.truth[worst] <= found[worst].value.high
    assert np.mean(overstated) > 1.05
    assert held >= 11


def test_without_chance_the_replay_is_believed() -> None:
    given = simulated(1, 6, 4, bad_minutes=0.0, luck=0.0)
    for key, one in together(given.choice, given.expected, given.seen, given.runs, given.limits).items():
        assert one.value.point == pytest.approx(given.truth[key])
        assert one.value.high / one.value.low < 1.005


def test_where_all_differences_are_chance_the_model_is_believed_about_them() -> None:
    """The replay is 4 % slower for all, and what workloads differ by in it is noise."""
    given = simulated(2, model=0.0, scatter=0.0, bad_minutes=0.2, luck=0.2)
    slow = {key: 1.04 * (value or 0.0) for key, value in given.seen.items()}
    runs = [{key: 1.04 * (value or 0.0) for key, value in run.items()} for run in given.runs]
    found = together(given.choice, given.expected, slow, runs, given.limits)
    ratios = [one.value.point / (given.expected[key] or 1.0) for key, one in found.items()]
    assert np.mean(ratios) == pytest.approx(1.04, abs=0.02)
    assert np.std(ratios) < 0.25 * np.std([(slow[key] or 0.0) / (given.expected[key] or 1.0) for key in found])


def test_what_was_replayed_for_longer_is_believed_more() -> None:
    given = simulated(3)
    longer = [key for key in given.truth if key[0].startswith("w0.")]

    def calmer(reading: Reading) -> Reading:
        """A quarter of the noise, as in a replay of sixteen times the length."""
        return {
            **reading,
            **{key: given.truth[key] * ((reading[key] or 0.0) / given.truth[key]) ** 0.25 for key in longer},
        }

    seen, runs = calmer(given.seen), [calmer(run) for run in given.runs]
    unsaid = together(given.choice, given.expected, seen, runs, given.limits)
    said = together(given.choice, given.expected, seen, runs, given.limits, {"gpu0": 16.0})
    drawn = [
        np.mean([abs(np.log(found[key].value.point / (seen[key] or 0.0))) for key in longer])
        for found in (unsaid, said)
    ]
    wide = [np.mean([found[key].value.high / found[key].value.low for key in longer]) for found in (unsaid, said)]
    assert drawn[1] < 0.7 * drawn[0]
    assert wide[1] < wide[0]


def test_a_floor_is_broken_below_it() -> None:
    keys = [(f"w{k}", "goodput_share") for k in range(4)]
    expected = dict.fromkeys(keys, 0.95)
    runs = [dict.fromkeys(keys, 0.95 * (1.0 + 0.002 * (-1) ** r)) for r in range(8)]
    choice = Choice(tuple(Candidate(f"w{k}", MODE, "big", "gpu", "small", "gpu", 3) for k in range(4)), (("gpu", 1),))
    limits = [Limit("w0", "goodput_share", 0.8), Limit("w1", "goodput_share", 0.99)]
    found = together(choice, expected, expected, runs, limits)
    assert found["w0", "goodput_share"].chance_broken < 0.01
    assert found["w1", "goodput_share"].chance_broken > 0.99
    assert standing_words(found) == "1 of 2 budgets surely kept, 1 broken"


def test_three_replications_do_not_tell_what_is_chance() -> None:
    given = simulated(4, 2, 3)
    assert together(given.choice, given.expected, given.seen, given.runs[:3], given.limits) == {}
