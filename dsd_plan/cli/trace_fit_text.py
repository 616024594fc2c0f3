"""What a fit of acceptance found, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, say_wrapped, show_table
from dsd_plan.report.numbers import number, share, signed_share

if TYPE_CHECKING:
    from dsd_plan.calibrate.acceptance_fit import AcceptanceFit, Judged
    from dsd_plan.domain.acceptance_law import FittedLaw


def law_told(law: FittedLaw) -> dict[str, Any]:
    """JSON-ready: the law as its file has it."""
    from pydantic import TypeAdapter

    from dsd_plan.domain.acceptance_law import FittedLaw as Kind

    told: dict[str, Any] = TypeAdapter(Kind).dump_python(law, mode="json")
    return told


def fit_told(fit: AcceptanceFit) -> dict[str, Any]:
    """JSON-ready: what every candidate gets wrong, by window and by choice."""
    return {
        "chosen": fit.chosen,
        "passes": fit.passes,
        "window": fit.window,
        "emitted_tokens": fit.emitted_tokens,
        "by_law": {one.candidate.name: judged_told(one) for one in fit.judged},
    }


def judged_told(one: Judged) -> dict[str, Any]:
    """One candidate, JSON-ready."""
    return {
        "windows": [
            {
                "window": each.window,
                "tokens_per_round": each.tokens_per_round,
                "observed": each.observed,
                "low": each.low,
                "high": each.high,
                "error": each.error,
                "accepted_variance": each.variance,
                "observed_variance": each.observed_variance,
                "rounds_variance": each.rounds_variance,
                "observed_rounds_variance": each.observed_rounds_variance,
            }
            for each in one.windows
        ],
        "choices": [
            {
                "draft_over_verify": each.draft_cost,
                "rtt_over_verify": each.round_trip,
                "window": each.window,
                "best": each.best,
                "slower": each.slower,
            }
            for each in one.choices
        ],
    }


def show_law(file: str, law: FittedLaw) -> None:
    """The law and the evidence by position."""
    of = "" if law.task is None else f", task {law.task}"
    requests = f" of {law.evidence.requests:,} requests" if law.evidence.requests else ""
    say(f"{file}{of}: {law.kind} law, from {law.evidence.rounds:,} rounds{requests}")
    if law.per_token is not None:
        say(f"  every proposal is accepted with probability {law.per_token:.3f}")
    if law.beta_a is not None and law.beta_b is not None:
        mean = law.beta_a / (law.beta_a + law.beta_b)
        say(f"  requests' rates: Beta({law.beta_a:.2f}, {law.beta_b:.2f}), mean {mean:.3f}")
    for i, (curve, moves) in enumerate(zip(law.states, law.transition, strict=True), start=1):
        say(f"  state {i}: {1 + sum(curve):.2f} tokens a round, lasts {1 / max(1e-9, 1 - moves[i - 1]):.1f} rounds")
    if law.evidence.tried:
        show_table(
            ("  position", "tried", "kept", "from", "to (95 %)"),
            [
                (
                    f"  {one.position}",
                    f"{one.tried:,}",
                    share(one.kept / max(1, one.tried)),
                    share(one.low),
                    share(one.high),
                )
                for one in law.evidence.tried
            ],
            title="  proposals kept where all before them were:",
        )


def show_fit(fit: AcceptanceFit) -> None:
    """How the candidates compare, and what one rate would have cost."""
    say("")
    say_wrapped("  candidates, judged on requests that they had not seen, and their errors against the trace:")
    show_table(
        ("  law", "test", "bits behind", "tokens", "var", "rounds var", "slower"),
        [judged_row(one, one.candidate.name == fit.chosen) for one in fit.judged],
        text_columns=2,
    )
    say_wrapped(
        "  bits behind: held out, a round; tokens: a round, at the worst window; var: of accepted; rounds var: of "
        f"the rounds in which a request emits {fit.emitted_tokens} tokens, both at window {fit.window}; slower: at "
        "the window that the law would choose, at worst, than at the trace's own best"
    )
    say("")
    one = fit.of("independent")
    show_table(
        ("  window", "tokens a round", "one rate says", "off by"),
        [
            (f"  {each.window}", number(each.observed), number(each.tokens_per_round), signed_share(each.error))
            for each in one.windows
        ],
        title="  what assuming one rate would have cost:",
    )
    worst = max(one.choices, key=lambda each: each.slower)
    if worst.slower > 0:
        say_wrapped(
            f"  at worst it chooses window {worst.window} where {worst.best} is best, {share(worst.slower)} slower "
            f"(draft step {worst.draft_cost:g}, round trip {worst.round_trip:g} verify steps)"
        )
    else:
        say("  it would have chosen the best window everywhere")
    say("")
    if fit.passes:
        say(f"  {fit.chosen}: the trace does not reject it")
    elif all(each.score.rejected for each in fit.judged):
        say(f"  no law passes; {fit.chosen} is written, the trace itself is better")
    else:
        say(f"  {fit.chosen}: taken although the trace rejects it")


def judged_row(one: Judged, chosen: bool) -> tuple[str, ...]:
    """One candidate's row of the table."""
    last = one.windows[-1]
    variance = None if not last.observed_variance else last.variance / last.observed_variance - 1.0
    rounds = None
    if last.rounds_variance is not None and last.observed_rounds_variance:
        rounds = last.rounds_variance / last.observed_rounds_variance - 1.0
    return (
        f"{'→' if chosen else ' '} {one.candidate.name}",
        "rejected" if one.score.rejected else "passes",
        f"{one.score.bits_behind:.4f} ± {one.score.standard_error:.4f}",
        signed_share(one.score.tokens_error),
        "not known" if variance is None else signed_share(variance),
        "not known" if rounds is None else signed_share(rounds),
        share(max(each.slower for each in one.choices)),
    )
