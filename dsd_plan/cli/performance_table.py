"""A `Performance` on the terminal: what users see, what devices do, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dsd_plan.cli.budget_words import budget_sentence, workload_rows
from dsd_plan.cli.terminal import say, say_wrapped, show_table, warn
from dsd_plan.report.numbers import interval, milliseconds, number, several, share, with_unit

if TYPE_CHECKING:
    from dsd_plan.domain.performance import Performance, WorkloadPerformance
    from dsd_plan.domain.workload import Budgets

METRICS = (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2e"))
STATISTICS = ("mean", "p50", "p95", "p99")
MOST_TOLD_IN_FULL, MOST_ROWS = 4, 15
"""Workloads that have a paragraph each; rows of a table where there are more of them, and of devices."""


def show_performance(performance: Performance, budgets: dict[str, Budgets]) -> None:
    """Print it; `budgets` are the workloads' own, by name."""
    if not performance.steady:
        why = performance.notes[0] if performance.notes else "offer less load, or deploy more"
        say_wrapped(f"No steady state, so no latencies: {why}.")
        say()
    else:
        show_workloads(performance, budgets)
    show_devices(performance)
    fleet = performance.fleet
    say()
    if performance.steady:
        say(
            f"fleet: {number(fleet.tokens_per_s)} tokens/s, {number(fleet.cost_per_hour)} an hour, "
            f"{number(fleet.cost_per_million_tokens)} a million tokens, "
            f"{with_unit(fleet.energy_j_per_token, 'J')} a token"
        )
    else:
        say(f"fleet: {number(fleet.cost_per_hour)} an hour")
    for note in performance.notes if performance.steady else performance.notes[1:]:
        warn(note)


def show_workloads(performance: Performance, budgets: dict[str, Budgets]) -> None:
    """Whether budgets are kept, then a paragraph a workload; of many a row each, the tightest first."""
    sentence = budget_sentence(performance, budgets)
    if sentence:
        say_wrapped(sentence)
        say()
    if len(performance.workloads) <= MOST_TOLD_IN_FULL:
        for workload in performance.workloads:
            show_workload(workload, budgets[workload.name], performance.source)
            say()
        return
    rows = workload_rows(performance, budgets)
    show_table(("workload", "TTFT p95", "TPOT mean", "TPOT p95", "in budget", "budgets"), rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        say(f"and {several(len(rows) - MOST_ROWS, 'more workload')}; --json tells all")
    say()


def show_devices(performance: Performance) -> None:
    """A row a device type; of many the fullest."""
    devices = performance.devices
    if len(devices) > MOST_ROWS:
        devices = tuple(sorted(devices, key=lambda device: -(device.saturation or 0.0)))
    show_table(
        ("device", "saturation", "busy", "mean batch", "power"),
        [
            (
                device.name,
                number(device.saturation),
                share(device.busy),
                number(device.mean_batch),
                with_unit(device.power_w, "W"),
            )
            for device in devices[:MOST_ROWS]
        ],
    )
    if len(devices) > MOST_ROWS:
        say(f"and {len(devices) - MOST_ROWS:,} more device types, less full; --json tells all")


def show_workload(workload: WorkloadPerformance, budgets: Budgets, source: str) -> None:
    """One workload's latencies against its budgets, and its rates."""
    count = "" if workload.requests is None else f" ({workload.requests:,} requests)"
    say(f"{workload.name}{count}")
    latency = {metric: getattr(workload, f"{metric}_ms") for _, metric in METRICS}
    show_latency(
        {m: {s: getattr(values, s) for s in STATISTICS} for m, values in latency.items()},
        budgets,
    )
    known = [(label, (workload.ci or {}).get(f"{metric}_ms.mean")) for label, metric in METRICS]
    means = [f"{label} {_ends(*ends)}" for label, ends in known if ends is not None]
    if means:
        how = "inputs and model" if source == "model" else "over replications"
        say_wrapped(f"means lie in (95 %, {how}): {', '.join(means)}")
    say(
        f"{number(workload.requests_per_s)} requests/s, {number(workload.tokens_per_s)} tokens/s, "
        f"{share(workload.slo_attainment)} within budget"
    )
    if workload.tokens_per_round is not None:
        say(
            f"{number(workload.tokens_per_round)} tokens a round, acceptance rate "
            f"{number(workload.acceptance_rate)}, {number(workload.bytes_per_token)} bytes a token, "
            f"{with_unit(workload.energy_j_per_token, 'J')} a token"
        )


def show_latency(latency: Mapping[str, Mapping[str, float | None]], budgets: Budgets) -> None:
    """Latencies by metric and statistic, each against its budget."""
    limits = {(metric, statistic): limit for metric, statistic, limit in budgets.limits()}
    rows = []
    for label, metric in METRICS:
        values = latency[metric]
        kept = [
            f"{statistic} {'–' if value is None else '✓' if value <= limits[metric, statistic] else '✗'} "
            f"{milliseconds(limits[metric, statistic])}"
            for statistic, value in values.items()
            if (metric, statistic) in limits
        ]
        rows.append((label, *(milliseconds(values[statistic]) for statistic in STATISTICS), ", ".join(kept)))
    show_table(("", *STATISTICS, "budget"), rows)


def _ends(low: float, high: float) -> str:
    """An interval of times in ms; one number where both ends read the same."""
    from dsd_plan.domain.performance import Interval

    if milliseconds(low) == milliseconds(high):
        return milliseconds(low)
    return interval("mean_ms", Interval(point=low, low=low, high=high))
