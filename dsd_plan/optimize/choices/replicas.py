"""How many replicas an assignment needs: bisection, because another replica never slows a workload."""

from __future__ import annotations

from dsd_plan.optimize.choices.candidates import with_count
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts
from dsd_plan.optimize.choices.objective import Judge


def least_count(judge: Judge, chosen: tuple[Candidate, ...], counts: Counts, device: str, low: int = 1) -> int:
    """Fewest replicas of `device`, from `low` on, that keep the workloads' budgets.

    `counts` must keep them; the other device types stay as they are there.
    """
    high = dict(counts)[device]
    low = min(low, high)
    while low < high:
        middle = (low + high) // 2
        if judge.judge(Choice(chosen, with_count(counts, device, middle))).latency_kept:
            high = middle
        else:
            low = middle + 1
    return high


def least_counts(judge: Judge, chosen: tuple[Candidate, ...], low: Counts, high: Counts) -> Counts:
    """Of each device type, the fewest replicas that do while all others are at `high`, which must do."""
    return tuple((name, least_count(judge, chosen, high, name, number)) for name, number in low)


def fitted_counts(judge: Judge, chosen: tuple[Candidate, ...], low: Counts, high: Counts) -> Counts:
    """Counts from `low` to `high` that do together and none of which can be lowered: the dearest type first."""
    counts = high
    lowest = dict(low)
    for name in sorted(lowest, key=lambda n: -judge.scenario.device(n).cost_per_hour):
        counts = with_count(counts, name, least_count(judge, chosen, counts, name, lowest[name]))
    return counts
