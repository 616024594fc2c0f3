"""What a trace says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, say_wrapped, show_table
from dsd_plan.report.numbers import number, share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TokenTrace

WINDOWS = (1, 2, 3, 4, 6, 8, 12)
DESCRIBED_WINDOW = 8
"""Window at which a trace's rounds are described."""
OF_WHAT = {
    "token trace": "of all tokens, those after a rejection too",
    "round trace": "of all proposals, those after a rejection too",
    "counters": "of all proposals, those after a rejection too",
}
"""Of what the accepted share is one."""
ROUNDS_OF = {
    "token trace": "of that window, replayed one after the other,",
    "round trace": "that proposed as many or more",
    "counters": "that proposed as many or more",
}
"""Which rounds a window's figures are of."""
BAR = 30
"""Cells of a full bar."""


def describe_acceptance(trace: TokenTrace | RoundTrace | AcceptanceCounts) -> dict[str, Any]:
    """Its summary, with acceptance by task, and by window how often a round keeps all and what it emits."""
    from dsd_plan.domain.acceptance import AcceptanceCounts, accepted_pmf, tokens_per_round
    from dsd_plan.domain.summary import acceptance_summary

    told = acceptance_summary(trace)
    windows = [window for window in WINDOWS if window <= len(told["survival"])]
    rounds = {} if isinstance(trace, AcceptanceCounts) else describe_rounds(trace, len(told["survival"]))
    return {
        **told,
        **rounds,
        "accepted_share": accepted_share(trace),
        "accepted_share_by_task": {} if isinstance(trace, AcceptanceCounts) else by_task(trace, told["tasks"] or ()),
        "all_kept": {str(window): float(accepted_pmf(trace, window)[-1]) for window in windows},
        "tokens_per_round": {str(window): tokens_per_round(trace, window) for window in windows},
    }


def describe_rounds(trace: TokenTrace | RoundTrace, largest: int) -> dict[str, Any]:
    """What rounds of one window, as large as the trace tells and no larger than 8, say of one another."""
    from dataclasses import asdict

    import numpy as np

    from dsd_plan.calibrate.dependence import dependence
    from dsd_plan.domain.acceptance import TokenTrace

    if isinstance(trace, TokenTrace):
        longest = int(np.diff(np.append(trace.request_starts(), trace.match.size)).max())
        # A round of a longer window would be cut short by the end of every request.
        largest = min(largest, max(1, longest - 1))
    return {"dependence": asdict(dependence(trace, min(largest, DESCRIBED_WINDOW)))}


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
        say(f"  accepted: {share(told['accepted_share'])} {OF_WHAT[told['kind']]}")
    for task, value in told["accepted_share_by_task"].items():
        say(f"    {task}: {share(value)}")
    if told.get("window") is not None:
        say(f"  window: {told['window']}, as was said")
    if told.get("mean_tokens_per_round") is not None:
        say(f"  tokens a round, on average: {number(told['mean_tokens_per_round'])}")
    if told["tokens_per_round"]:
        say_wrapped(f"  by window: how often a round {ROUNDS_OF[told['kind']]} keeps all, and how many tokens it emits")
        show_table(
            ("  window", *told["all_kept"]),
            [
                ("  all kept", *(number(value) for value in told["all_kept"].values())),
                ("  tokens a round", *(number(value) for value in told["tokens_per_round"].values())),
            ],
        )
    if "dependence" in told:
        show_rounds(told["dependence"])


def show_rounds(told: dict[str, Any]) -> None:
    """Print what `describe_rounds` says."""
    window = told["window"]
    show_table(
        ("  position", "kept", "95 % interval", "over requests", "tried"),
        [
            (
                f"  {one['position']}",
                share(one["kept"] / one["tried"]),
                " – ".join(share(end) for end in one["wilson"]),
                "not known" if one["over_requests"] is None else " – ".join(share(e) for e in one["over_requests"]),
                f"{one['tried']:,}",
            )
            for one in told["positions"]
        ],
        title=f"  does acceptance fall with position? rounds of window {window}; kept, of those tried,\n"
        "  which had kept all before",
    )
    counts = told["histogram"]
    show_table(
        ("  accepted", "", "rounds"),
        [(f"  {kept}", bar(count / max(1, *counts)), f"{count:,}") for kept, count in enumerate(counts)],
        title=f"  what do rounds of window {window} keep?",
        text_columns=2,
    )
    if told["full_after_full"] is not None and told["full_after_short"] is not None:
        say(
            f"  is it bursty? all kept after all kept: {share(told['full_after_full'])}; "
            f"after {min(2, window - 1)} or fewer: {share(told['full_after_short'])}"
        )
    say(f"  correlation of accepted with the next round's: {told['autocorrelation'][0]:.2f}")
    if told["intra_class"] is not None:
        say(f"  do requests differ? {share(max(0.0, told['intra_class']))} of the variance lies between them")
    for group in told["groups"]:
        say(
            f"    {group['name']}: {number(group['tokens_per_round'])} tokens a round "
            f"({number(group['low'])} – {number(group['high'])})"
        )


def bar(part: float) -> str:
    """A bar of up to BAR cells, in eighths."""
    eighths = round(8 * BAR * part)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def how_much(told: dict[str, Any]) -> str:
    """How many tokens, rounds or proposals stand behind it."""
    for unit in ("tokens", "rounds", "proposed"):
        if told.get(unit) is not None:
            return f"{told[unit]:,} {'proposals' if unit == 'proposed' else unit}"
    return "a mean alone"
