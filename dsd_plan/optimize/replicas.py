"""How many replicas an assignment needs: bisection, because another replica never slows a workload."""

from __future__ import annotations

from dsd_plan.optimize.candidates import Candidate, Choice, Counts, full_counts, with_count
from dsd_plan.optimize.objective import Judge


def least_count(judge: Judge, chosen: tuple[Candidate, ...], counts: Counts, device: str, low: int = 1) -> int:
    """Fewest replicas of `device` that keep the workloads' budgets.

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


def least_counts(judge: Judge, chosen: tuple[Candidate, ...], low: Counts) -> Counts:
    """Of each device type, the fewest replicas that do while all others are deployed in full."""
    full = full_counts(judge.scenario, chosen)
    return tuple((name, least_count(judge, chosen, full, name, number)) for name, number in low)


def fitted_counts(judge: Judge, chosen: tuple[Candidate, ...], low: Counts) -> Counts:
    """Counts that keep the workloads' budgets together and none of which can be lowered: the dearest type first."""
    counts = full_counts(judge.scenario, chosen)
    lowest = dict(low)
    for name in sorted(lowest, key=lambda n: -judge.scenario.device(n).cost_per_hour):
        counts = with_count(counts, name, least_count(judge, chosen, counts, name, lowest[name]))
    return counts
