"""What a trace says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import number, share

if TYPE_CHECKING:
    from dsd_plan.domain.acceptance import RoundTrace, TokenTrace

WINDOWS = (1, 2, 3, 4, 6, 8, 12)


def describe_acceptance(trace: TokenTrace | RoundTrace) -> dict[str, Any]:
    """Its summary, with acceptance by task, and by window how often a round keeps all and what it emits."""
    from dsd_plan.domain.acceptance import accepted_pmf, tokens_per_round
    from dsd_plan.domain.summary import acceptance_summary

    told = acceptance_summary(trace)
    windows = [window for window in WINDOWS if window <= len(told["survival"])]
    return {
        **told,
        "accepted_share": accepted_share(trace),
        "accepted_share_by_task": {task: accepted_share(trace.for_task(task)) for task in told["tasks"] or ()},
        "all_kept": {str(window): float(accepted_pmf(trace, window)[-1]) for window in windows},
        "tokens_per_round": {str(window): tokens_per_round(trace, window) for window in windows},
    }


def accepted_share(trace: TokenTrace | RoundTrace) -> float:
    """Matches among tokens, or accepted among proposed."""
    from dsd_plan.domain.acceptance import TokenTrace

    if isinstance(trace, TokenTrace):
        return float(trace.match.mean())
    return float(trace.accepted.sum() / trace.proposed.sum())


def show_acceptance(file: str, told: dict[str, Any]) -> None:
    """Print what `describe_acceptance` says."""
    heat = "" if told["temperature"] is None else f" at temperature {told['temperature']:g}"
    rows = f"{told['tokens']:,} tokens" if "tokens" in told else f"{told['rounds']:,} rounds"
    say(f"{file}: acceptance, {told['kind']}")
    say(f"  {told['draft']} proposes ({told['proposal']}) for {told['target']}{heat}")
    say(f"  {rows} of {told['requests']:,} requests, recorded by {told['recorder']} {told['version']}")
    say(f"  accepted: {share(told['accepted_share'])}")
    for task, value in told["accepted_share_by_task"].items():
        say(f"    {task}: {share(value)}")
    if told["tokens_per_round"]:
        say("  by window: how often a round keeps every proposal, and how many tokens it emits")
        show_table(
            ("  window", *told["all_kept"]),
            [
                ("  all kept", *(number(value) for value in told["all_kept"].values())),
                ("  tokens a round", *(number(value) for value in told["tokens_per_round"].values())),
            ],
        )


def show_requests(file: str, told: dict[str, Any]) -> None:
    """Print the summary of a workload trace."""
    say(f"{file}: workload")
    say(f"  {told['requests']:,} requests in {number(told['span_s'])} s, {number(told['rate_per_s'])} a second")
    statistics = ("mean", "p5", "p50", "p95")
    show_table(
        ("  tokens", *statistics),
        [
            (f"  {name}", *(number(told[f"{name}_tokens"][statistic]) for statistic in statistics))
            for name in ("prompt", "output")
        ],
    )
