"""What a workload trace says, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import exact, number, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsd_plan.domain.workload import RequestTrace

BLOCKS = " ▁▂▃▄▅▆▇█"
STATISTICS = ("mean", "p5", "p50", "p95", "p99", "most")


def describe_requests(trace: RequestTrace) -> dict[str, Any]:
    """Every figure of the trace, ready for JSON."""
    from dsd_plan.domain.workload_statistics import workload_statistics

    return {"kind": "workload trace", **asdict(workload_statistics(trace))}


def show_requests(file: str, told: dict[str, Any]) -> None:
    """Print what `describe_requests` says."""
    say(f"{file}: workload")
    rate = "all at one time" if told["rate_per_s"] is None else f"{number(told['rate_per_s'])} a second"
    say(f"  {counted(told['requests'], 'request')} in {number(told['span_s'])} s, {rate}")
    if told["rate_by_bin"]:
        say(f"  rate over time, {number(told['bin_s'])} s a mark, at most {number(max(told['rate_by_bin']))} a second")
        say(f"    {bars(told['rate_by_bin'])}")
    if told["rate_by_hour"] is not None:
        say("  rate by hour of the day, from the first request on")
        say(f"    {bars(told['rate_by_hour'])}")
    if told["clock_s"] is not None:
        say(
            f"  times come in steps of {number(told['clock_s'])} s, {told['distinct_times']:,} different ones: the gaps"
        )
        say("  are the clock's, not the traffic's; trust counts in windows of several steps")
    if told["gap_cv"] is not None:
        say(f"  bursts: gaps have a coefficient of variation of {number(told['gap_cv'])} (Poisson: 1)")
    for part in told["dispersion"]:
        index = number(part["index"])
        say(f"    counts in windows of {number(part['window_s'])} s: variance over mean {index} (Poisson: 1)")
    show_table(
        ("  tokens", *STATISTICS),
        [
            (f"  {name}", *(exact(told[f"{name}_tokens"][statistic]) for statistic in STATISTICS))
            for name in ("prompt", "output")
        ],
    )
    if told["correlation"] is not None:
        say(f"  rank correlation of prompt and output: {number(told['correlation'])}")
    if told["cached_share"] is not None:
        say(f"  {share(told['cached_share'])} of all prompt tokens are in the cache already")
    if told["conversations"] is not None:
        talks = told["conversations"]
        turns = f"{number(talks['mean_turns'])} turns on average, {talks['most_turns']} at most"
        say(f"  {counted(talks['count'], 'conversation')}, {turns}")
    if told["users"] is not None:
        say(f"  {counted(told['users'], 'user')}")
    for key in ("workloads", "tasks"):
        for name, count in (told[key] or {}).items():
            say(f"  {key[:-1]} {name}: {counted(count, 'request')}")


def counted(count: int, what: str) -> str:
    """So many of something: 1 request, 1,200 requests."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def bars(values: Sequence[float]) -> str:
    """One character a value, as high as the value is against the largest."""
    most = max(values)
    if most <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[min(int(value / most * 8 + 0.999), 8)] for value in values)
