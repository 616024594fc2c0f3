"""What a replay of many workloads tells: each of them was seen for a short while only, each target's for long.

Of a thousand budgets some seem broken by chance, and the workloads of a target have their bad minutes together. So a
budget counts as broken where its whole interval is beyond it, and the model as wrong where all that a target serves
in a mode is further off than its replications are from each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import median, stdev

from dsd_plan.domain.performance import Performance
from dsd_plan.optimize.choices.budgets import Limit, Reading, judged_value, observed_interval
from dsd_plan.optimize.choices.choice import Choice

Factor = tuple[str, str, str]
"""(workload or "fleet", its mode or "", quantity)."""

SURELY = 5.0
"""Standard errors of a target's median, from replication to replication, beyond which an error is no chance.

With 8 replications one in 700 medians is that far off by chance, and a large plan has as many as 300.
"""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the search goes on with."""

    factors: dict[Factor, float]
    """Observed / predicted."""
    off: float
    """The largest error of a target's median that is no chance, as a share."""


def given_the_doubt(reading: Reading, pooled: Performance, limits: Sequence[Limit]) -> Reading:
    """The reading with the budgets kept that may well be."""
    found = dict(reading)
    for limit in limits:
        seen = None if limit.of_fleet else observed_interval(pooled, limit.scope, limit.quantity)
        if seen is not None:
            found[limit.scope, limit.quantity] = judged_value(limit, seen, many=True)
    return found


def lesson_of(
    choice: Choice,
    expected: Reading,
    seen: Reading,
    runs: Sequence[Reading],
    broken: frozenset[tuple[str, str]],
    gross: float,
) -> Lesson:
    """What `seen`, and each of its `runs`, say of what was `expected`.

    A quantity is corrected by the median over its mode; where a target is surely further off than `gross`, by that
    target's median; where its budget broke, by its own error.
    """
    place = {c.workload: (c.mode, c.target_device) for c in choice.candidates}
    ratios = _ratios(seen, expected)
    by_mode: dict[tuple[str, str], list[float]] = {}
    by_target: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for (scope, quantity), ratio in ratios.items():
        mode, target = place.get(scope, ("", ""))
        by_mode.setdefault((mode, quantity), []).append(ratio)
        by_target.setdefault((mode, target, quantity), []).append((scope, quantity))
    usual = {key: median(found) for key, found in by_mode.items()}
    each = [_ratios(run, expected) for run in runs]
    factors: dict[Factor, float] = {}
    off = 0.0
    for (mode, _, quantity), members in by_target.items():
        here = median(ratios[member] for member in members)
        sure = _surely_off(here, [_median_of(run, members) for run in each])
        off = max(off, sure)
        factor = here if sure > gross else usual[mode, quantity]
        for member in members:
            factors[member[0], mode, quantity] = ratios[member] if member in broken else factor
    return Lesson(factors, off)


def _ratios(seen: Reading, expected: Reading) -> dict[tuple[str, str], float]:
    return {
        key: found / value
        for key, value in expected.items()
        if (found := seen.get(key)) is not None and value is not None and value > 0.0
    }


def _median_of(ratios: Mapping[tuple[str, str], float], members: Sequence[tuple[str, str]]) -> float | None:
    known = [ratios[member] for member in members if member in ratios]
    return median(known) if known else None


def _surely_off(ratio: float, runs: Sequence[float | None]) -> float:
    """By what share a ratio differs from 1 beyond chance; without several runs all of it counts."""
    logs = [log(run) for run in runs if run]
    chance = 0.0 if not logs else inf
    if len(logs) > 1:
        chance = SURELY * stdev(logs) / sqrt(len(logs))
    error = abs(log(ratio)) - chance if ratio > 0.0 else inf
    return max(exp(error) - 1.0, 0.0) if error > 0.0 else 0.0
