"""What a profile says, in words: how far it can be trusted, and what its law means."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.profile import LatencyProfile, LayerSlicing, StepLaw
from dsd_plan.domain.profile_view import StepCell, StepRow, StepTable, Trust
from dsd_plan.report.numbers import count, milliseconds, number, share, signed_share

NOT_VERIFIED = "What verifying costs was not measured: the law alone tells it."
SHOWN_VERIFY = 5
"""New tokens of the verify step that stands for all in a sentence: a window of 4."""


def trust_lines(profile: LatencyProfile, trust: Trust) -> tuple[tuple[str, str], ...]:
    """What is known of each source of error: (which, in words)."""
    lines = [("points", _points(trust))]
    if trust.points:
        drift = "not recorded" if trust.drift is None else f"{signed_share(trust.drift)} from first to last step"
        lines += [
            ("medians", _medians(trust)),
            ("drift", drift),
            ("contention", _contention(profile, trust)),
            ("between", _between(trust)),
        ]
    lines.append(("beyond", _beyond(profile, trust)))
    if trust.slicing is not None:
        lines.append(("layers", _slicing(trust.slicing)))
    lines.append(("power", power_words(profile)))
    if profile.sustained:
        seconds, left = profile.sustained[-1]
        lines.append(("sustained", f"{share(left)} of the speed left after {number(seconds)} s of work"))
    return tuple(lines)


def _points(trust: Trust) -> str:
    if not trust.points:
        return "none measured: every time is told by a declared law"
    fewest, most = trust.fewest_samples, trust.most_samples
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"{count(trust.points)} steps measured, {count(trust.samples)} samples, {each} a step"


def _medians(trust: Trust) -> str:
    if trust.well_known is None:
        return "one sample a step; their spread is not known"
    source = "" if trust.intervals == "recorded" else "; intervals from the samples' spread"
    return (
        f"{trust.well_known} of {trust.points} known within ±3 % (95 %); typical ±{share(trust.median_half_width)}, "
        f"widest ±{share(trust.widest_half_width)}{source}"
    )


def _contention(profile: LatencyProfile, trust: Trust) -> str:
    if trust.contention is not None:
        return trust.contention
    return "none seen" if "contention" in (profile.method or {}) else "not recorded"


def _between(trust: Trust) -> str:
    checked = trust.held_out
    if checked is None:
        return "interpolation was not checked against steps left out of the table"
    return (
        f"interpolation errs by {share(checked.mean_error)} mean, {share(checked.max_error)} at most, "
        f"on {count(checked.points)} steps left out of the table"
    )


def _beyond(profile: LatencyProfile, trust: Trust) -> str:
    if trust.law_mean_error is None:
        return "the law's error is not known"
    folds = f" ({profile.fit.folds} folds)" if profile.fit.folds else ""
    return (
        f"the law alone errs by {share(trust.law_mean_error)} mean, {share(trust.law_max_error)} at most, "
        f"on points left out of its fit{folds}"
    )


def _slicing(cut: LayerSlicing) -> str:
    fewer, more = cut.measured_layers
    told = f"scaled from {fewer} and {more} of {cut.layers} layers"
    if cut.check is None:
        return f"{told}; not checked against a whole model"
    model = f" on {cut.check_model}" if cut.check_model else ""
    return (
        f"{told}; against a whole model{model} {share(cut.check.mean_error)} mean, {share(cut.check.max_error)} at most"
    )


def power_words(profile: LatencyProfile) -> str:
    """Idle and active power and where they come from."""
    if profile.power_source == "none":
        return "no power measured"
    known = [
        f"{word} {number(watts)} W"
        for word, watts in (("idle", profile.idle_w), ("active", profile.active_w))
        if watts is not None
    ]
    return f"{', '.join(known) or 'per step only'} ({profile.power_source})"


def law_lines(law: StepLaw) -> tuple[str, ...]:
    """What each coefficient means."""
    meanings = (
        ("step_ms", "ms", "a step, whatever it does"),
        ("per_token_ms", "ms", "more for each token decoded or verified"),
        ("per_prompt_token_ms", "ms", "more for each prompt token"),
        ("per_prompt_token_sq_us", "µs", "more for each prompt token squared"),
        ("per_kv_token_us", "µs", "more for each token of context, of each sequence"),
        ("mixed_kv_token_us", "µs", "more for each token of context where prompts are read in the same step"),
        ("load_scale", "times", "all of it under load"),
        ("active_w", "W", "while it works"),
    )
    bent = {"step_ms", "per_token_ms"} if law.knots else set()
    lines = [
        f"{number(value)} {unit} {words}"
        for key, unit, words in meanings
        if key not in bent and (value := getattr(law, key)) is not None
    ]
    if law.knots:
        bends = ", ".join(f"{number(tokens)} {milliseconds(ms)}" for tokens, ms in law.knots)
        lines.insert(0, f"a step by its new tokens in all, straight between: {bends}")
    return tuple(lines)


def shown_tables(steps: Sequence[StepTable]) -> tuple[StepTable, ...]:
    """The smallest and the largest context of those that were measured about as fully as any."""
    measured = [sum(cell.origin == "measured" for row in table.rows for cell in row.cells) for table in steps]
    full = [table for table, cells in zip(steps, measured, strict=True) if 2 * cells >= max(measured)]
    return tuple(full) if len(full) < 2 else (full[0], full[-1])


def shown_cost(row: StepRow) -> StepCell | None:
    """The verify step that stands for all: the one nearest to five new tokens."""
    return min(row.verify_cost, key=lambda cell: abs(cell.new_tokens - SHOWN_VERIFY), default=None)


def verify_sentence(table: StepTable) -> str | None:
    """What verifying costs alone and in the largest batch."""
    first, last = table.rows[0], table.rows[-1]
    alone, full = shown_cost(first), shown_cost(last)
    if alone is None or full is None:
        return None
    words = f"Verifying {alone.new_tokens} tokens takes as long as {cost(alone)} plain steps at batch {first.batch}"
    return f"{words}, {cost(full)} at batch {last.batch}." if last is not first else f"{words}."


def cost(cell: StepCell) -> str:
    """A ratio with its interval: 1.37 (1.29–1.46)."""
    ends = "" if cell.low is None or cell.high is None else f" ({number(cell.low)}–{number(cell.high)})"
    return f"{number(cell.ms)}{ends}"
