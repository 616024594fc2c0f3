"""A round's anatomy on the terminal: numbers that a person can add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import milliseconds

if TYPE_CHECKING:
    from dsd_plan.domain.anatomy import Anatomy
    from dsd_plan.explaining import BreakEven, Explanation

MODES = {"target_only": "plain decoding", "fused": "the draft beside the target"}


def show_explanation(explanation: Explanation) -> None:
    """Each workload's mean round, part by part, and up to which round trip drafting at the edge pays."""
    for anatomy in explanation.anatomies:
        show_anatomy(anatomy)
        for found in explanation.break_evens:
            if found.workload == anatomy.workload:
                say(break_even_text(found))
        say()


def show_anatomy(anatomy: Anatomy) -> None:
    """The parts of a round, their sum, and the way from there to TPOT."""
    rows = [(line.what, line.how, f"{line.ms:.2f}") for line in anatomy.lines]
    rows.append(("= a round", "", f"{anatomy.round_ms:.2f}"))
    tokens = anatomy.tokens_per_round
    rows.append((f"÷ {tokens:.4g}", "tokens a round", f"{anatomy.round_ms / tokens:.2f}"))
    rows.append(("+ the rest", "what the first round and unequal lengths add to a token", f"{anatomy.rest_ms:.2f}"))
    rows.append(("= TPOT", "", f"{anatomy.tpot_ms:.2f}"))
    show_table((f"{anatomy.workload}, a mean round", "", "ms"), rows, text_columns=2)


def break_even_text(found: BreakEven) -> str:
    """One sentence: up to which round trip the edge wins against another way to serve the workload."""
    other = MODES[found.against]
    if found.why_not is not None:
        return f"against {other}: no comparison, {found.why_not}"
    if found.rtt_ms is None or found.other_tpot_ms is None:
        return f"against {other}: no comparison, requests of one token have no rounds"
    theirs = f"{other} ({milliseconds(found.other_tpot_ms)} a token at this load)"
    if found.rtt_ms <= 0.0:
        return f"against {theirs}: drafting at the edge loses at any round trip"
    return (
        f"against {theirs}: drafting at the edge wins up to a round trip of {milliseconds(found.rtt_ms)} by the model, "
        "on these devices, both ways predicted anew at it"
    )


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The same for programs, beside the prediction's own keys."""
    rounds = {
        anatomy.workload: {
            "parts": [{"what": line.what, "how": line.how, "ms": line.ms} for line in anatomy.lines],
            "round_ms": anatomy.round_ms,
            "tokens_per_round": anatomy.tokens_per_round,
            "rest_ms": anatomy.rest_ms,
            "tpot_ms": anatomy.tpot_ms,
        }
        for anatomy in explanation.anatomies
    }
    break_evens = [
        {
            "workload": found.workload,
            "against": found.against,
            "rtt_ms": found.rtt_ms,
            "other_tpot_ms": found.other_tpot_ms,
            "why_not": found.why_not,
        }
        for found in explanation.break_evens
    ]
    return {"rounds": rounds, "break_even_rtt": break_evens}
