"""What a trace says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import number, share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TokenTrace

WINDOWS = (1, 2, 3, 4, 6, 8, 12)


def describe_acceptance(trace: TokenTrace | RoundTrace | AcceptanceCounts) -> dict[str, Any]:
    """Its summary, with acceptance by task, and by window how often a round keeps all and what it emits."""
    from dsd_plan.domain.acceptance import AcceptanceCounts, accepted_pmf, tokens_per_round
    from dsd_plan.domain.summary import acceptance_summary

    told = acceptance_summary(trace)
    windows = [window for window in WINDOWS if window <= len(told["survival"])]
    return {
        **told,
        "accepted_share": accepted_share(trace),
        "accepted_share_by_task": {} if isinstance(trace, AcceptanceCounts) else by_task(trace, told["tasks"] or ()),
        "all_kept": {str(window): float(accepted_pmf(trace, window)[-1]) for window in windows},
        "tokens_per_round": {str(window): tokens_per_round(trace, window) for window in windows},
    }


def by_task(trace: TokenTrace | RoundTrace, tasks: Iterable[str]) -> dict[str, float | None]:
    """The accepted share of each task's rows."""
    return {task: accepted_share(trace.for_task(task)) for task in tasks}


def accepted_share(trace: TokenTrace | RoundTrace | AcceptanceCounts) -> float | None:
    """Matches among tokens, or accepted among proposed; None where counters do not tell what was proposed."""
    from dsd_plan.domain.acceptance import AcceptanceCounts, TokenTrace, counted_totals

    if isinstance(trace, AcceptanceCounts):
        totals = counted_totals(trace)
        return totals["accepted"] / totals["proposed"] if totals["accepted"] and totals["proposed"] else None
    if isinstance(trace, TokenTrace):
        return float(trace.match.mean())
    return float(trace.accepted.sum() / trace.proposed.sum())


def show_acceptance(file: str, told: dict[str, Any]) -> None:
    """Print what `describe_acceptance` says."""
    heat = "" if told["temperature"] is None else f" at temperature {told['temperature']:g}"
    say(f"{file}: acceptance, {told['kind']}")
    say(f"  {told['draft']} proposes ({told['proposal']}) for {told['target']}{heat}")
    requests = "" if told["requests"] is None else f" of {told['requests']:,} requests"
    say(f"  {how_much(told)}{requests}, recorded by {told['recorder']} {told['version']}")
    if told["accepted_share"] is not None:
        say(f"  accepted: {share(told['accepted_share'])}")
    for task, value in told["accepted_share_by_task"].items():
        say(f"    {task}: {share(value)}")
    if told.get("mean_tokens_per_round") is not None:
        say(f"  tokens a round, on average: {number(told['mean_tokens_per_round'])}")
    if told["tokens_per_round"]:
        say("  by window: how often a round keeps every proposal, and how many tokens it emits")
        show_table(
            ("  window", *told["all_kept"]),
            [
                ("  all kept", *(number(value) for value in told["all_kept"].values())),
                ("  tokens a round", *(number(value) for value in told["tokens_per_round"].values())),
            ],
        )


def how_much(told: dict[str, Any]) -> str:
    """How many tokens, rounds or proposals stand behind it."""
    for unit in ("tokens", "rounds", "proposed"):
        if told.get(unit) is not None:
            return f"{told[unit]:,} {'proposals' if unit == 'proposed' else unit}"
    return "a mean alone"
