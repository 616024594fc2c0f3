"""What pages of traces say in words: intervals, who rejects a law and why, what the laws are called."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.acceptance import TraceMetadata
from dsd_plan.domain.acceptance_law import FittedLaw
from dsd_plan.domain.acceptance_view import AcceptanceFitView, AcceptanceView, LawRow, PositionRow
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import THIN, given, number, share

LAWS = {
    "independent": "one rate",
    "beta": "rates by request",
    "positional": "rates by position",
    "markov-2": "two lasting states",
    "markov-3": "three lasting states",
}
LAW_MEANINGS = {
    "independent": "every proposal is kept with the same probability, whatever happened before",
    "beta": "each request has a rate of its own, drawn from a Beta law, the same for all its proposals",
    "positional": "each position of the window has a rate of its own, the same for all requests",
    "markov-2": "a request moves between two states that last over rounds, each with its own rate by position",
    "markov-3": "a request moves between three states that last over rounds, each with its own rate by position",
}
SHORT_SPAN_S, HOUR_S, DAY_S = 180.0, 3600.0, 86_400.0


def law_name(name: str) -> str:
    """What a law is called on a page."""
    return LAWS.get(name, name)


def ends_words(ends: tuple[float, float] | None, *, per_cent: bool = False) -> str:
    """An interval behind its number: " (1.49–1.52)"; nothing where there is none."""
    if ends is None:
        return ""
    low, high = (100.0 * end if per_cent else end for end in ends)
    between = "–" if low >= 0 else " to "
    return f" ({number(low)}{between}{number(high)}{THIN + '%' if per_cent else ''})"


def share_with(value: float, ends: tuple[float, float] | None) -> str:
    """A share with its interval: 42.4 % (40.4–44.2 %)."""
    return f"{share(value)}{ends_words(ends, per_cent=True)}"


def span_words(seconds: float) -> str:
    """A span of time in the unit that reads best: 45.0 s, 30.0 minutes, 2.50 hours, 7.00 days."""
    for above, size, unit in (
        (2 * DAY_S, DAY_S, "days"),
        (2 * HOUR_S, HOUR_S, "hours"),
        (SHORT_SPAN_S, 60.0, "minutes"),
    ):
        if seconds >= above:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s" if seconds >= 0.1 or seconds == 0 else f"{number(1000 * seconds)} ms"


def pair_words(metadata: TraceMetadata) -> str:
    """Who proposes for whom, how, and at which temperature."""
    words = f"{isolated(metadata.draft)} for {isolated(metadata.target)}, {metadata.proposal} proposals"
    return words if metadata.temperature is None else f"{words}, temperature {given(metadata.temperature)}"


def trend(rows: Sequence[PositionRow]) -> str:
    """Whether acceptance rises or falls with position, as far as intervals tell the first from the last apart."""
    first, last = rows[0], rows[-1]
    words = (
        f"{share_with(first.share, first.ends)} of first proposals are kept, and {share_with(last.share, last.ends)} "
        f"at position {last.position} once all before it were"
    )
    if last is first:
        return f"{share_with(first.share, first.ends)} of first proposals are kept, and no others were made."
    if last.ends[1] < first.ends[0]:
        return f"It falls: {words}."
    if last.ends[0] > first.ends[1]:
        return f"It rises: {words}."
    return f"Not that the trace could tell: {words}."


def bursts(view: AcceptanceView) -> str:
    """Whether a good round follows a good one."""
    first = view.lags[0]
    told = f"the correlation of one round with the next is {number(first.correlation)}{ends_words(first.ends)}"
    if first.ends is None:
        return f"Of one request alone nobody can tell how sure it is, but {told}."
    if first.ends[0] > 0:
        return f"Yes: {told}."
    if first.ends[1] < 0:
        return f"No, they alternate: {told}."
    return f"Not that the trace could tell: {told}."


def after_words(view: AcceptanceView) -> str:
    """What follows a round that kept all, and one that kept little."""
    if view.full_after_full is None or view.full_after_short is None:
        return ""
    kept = "none" if view.short == 0 else f"{view.short} or fewer"
    return (
        f"All {view.window} are kept in {share(view.full_after_full)} of rounds after one that kept all, and in "
        f"{share(view.full_after_short)} after one that kept {kept}."
    )


def why_rejected(row: LawRow) -> str:
    """What speaks against a candidate, or that nothing does."""
    reasons = []
    if row.falls_behind:
        behind = f"{number(row.bits_behind)} ± {number(row.standard_error)}"
        reasons.append(f"it falls {behind} bits a round behind on unseen requests")
    if row.outside:
        reasons.append(f"its tokens a round lie outside the trace's 99 % interval at {_windows(row.outside)}")
    return "; ".join(reasons) or "nothing speaks against it"


def _windows(windows: Sequence[int]) -> str:
    if len(windows) == 1:
        return f"window {windows[0]}"
    if len(windows) > 2 and windows[-1] - windows[0] == len(windows) - 1:
        return f"windows {windows[0]}–{windows[-1]}"
    return f"windows {', '.join(str(window) for window in windows[:-1])} and {windows[-1]}"


def why_chosen(view: AcceptanceFitView) -> str:
    """Why the law was picked."""
    row = view.of(view.chosen)
    if view.asked_for:
        against = "the trace does not reject it" if not row.rejected else f"the trace rejects it: {why_rejected(row)}"
        return f"It was asked for by name; {against}."
    if row.rejected:
        return (
            f"The trace rejects every law that was tried; this one has the best held-out likelihood, yet "
            f"{why_rejected(row)}. Use the trace itself where you can."
        )
    simpler = [each for each in view.laws if each.parameters < row.parameters and each.rejected]
    if not simpler:
        return "It is the simplest of all that were tried, and the trace does not reject it."
    names = " and ".join(law_name(each.name) for each in simpler)
    return f"It is the simplest that the trace does not reject; {names} did not pass."


def law_lines(law: FittedLaw) -> tuple[str, ...]:
    """What the law says, parameter by parameter."""
    lines = []
    if law.per_token is not None:
        lines.append(f"every proposal is kept with probability {number(law.per_token)}")
    if law.beta_a is not None and law.beta_b is not None:
        mean = law.beta_a / (law.beta_a + law.beta_b)
        lines.append(f"requests' rates follow Beta({number(law.beta_a)}, {number(law.beta_b)}), mean {number(mean)}")
    for i, (curve, moves) in enumerate(zip(law.states, law.transition, strict=True), start=1):
        lasts = 1.0 / max(1e-9, 1.0 - moves[i - 1])
        lines.append(
            f"state {i}: {number(1.0 + sum(curve))} tokens a round at window {len(curve)}, lasts {number(lasts)} rounds"
        )
    if law.kind == "positional":
        told = ", ".join(number(value) for value in law.survival)
        lines.append(f"the first 1, 2, … proposals are all kept with probability {told}")
    if law.largest_window > law.measured_window:
        lines.append(f"windows {law.measured_window + 1}–{law.largest_window} are extrapolated")
    return tuple(lines)
