"""The table of a scenario that says what is measured of the system of today."""

from __future__ import annotations

from dsd_plan.domain.present import METRICS, STATISTICS
from dsd_plan.domain.present_system import PresentSystem


def present_table(seen: PresentSystem, workload: str, source: str) -> str:
    """`[present]` with `plan.json` and every latency that was told; `source` is fit for a comment."""
    numbers = [
        f"{name}_{statistic}_ms = {value:.6g}  # measured: {source}"
        for name in METRICS
        for statistic in STATISTICS
        if (value := getattr(getattr(seen, f"{name}_ms"), statistic))
    ]
    if seen.speculates:
        numbers.append(f"tokens_per_round = {seen.round_tokens:.6g}  # measured: {source}")
    head = [
        "# The system of today: optimize reproduces it first, and what it is off by widens all that follows.",
        "[present]",
        'plan = "plan.json"  # guessed: as replicas and batch_cap above',
        'measured_at = "servers"  # measured: the way to the users is in none of the times',
    ]
    if numbers:
        head += ["[[present.measured]]", f'workload = "{workload}"  # measured: {source}']
    return "\n".join([*head, *numbers])
