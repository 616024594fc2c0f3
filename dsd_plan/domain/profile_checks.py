"""Does a profile make sense? Contradictions between its points, its law and its power."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dsd_plan.domain.profile import LatencyProfile, LatencyStats, StepLaw
from dsd_plan.errors import Problem

NEGLIGIBLE = 1e-9
"""Share by which an end of a median's interval may lie on its wrong side: rounding of a sum."""


def profile_problems(profile: LatencyProfile) -> tuple[Problem, ...]:
    """Everything in a profile that cannot be true."""
    return (
        *_points(profile),
        *law_problems("fit.law", profile.fit.law),
        *_law_beside_points(profile),
        *_power(profile),
        *_sustained(profile),
    )


def law_problems(place: str, law: StepLaw) -> Iterator[Problem]:
    """A step takes time, and no power is null, never 0."""
    if law.step_ms == 0 and law.per_token_ms == 0 and law.knots is None:
        yield Problem(place, "step_ms and per_token_ms are both 0: a step would take no time; give one of them")
    if law.active_w == 0:
        yield Problem(f"{place}.active_w", "found 0; power that is not known is left out, never 0")
    if law.knots is not None:
        if not law.knots:
            yield Problem(f"{place}.knots", "found none; give two or more [new_tokens, ms], or leave `knots` out")
        elif law.knots[0][1] == 0:
            yield Problem(f"{place}.knots", "the first takes 0 ms: a step takes time")
        for key, position in (("new_tokens", 0), ("ms", 1)):
            values = [knot[position] for knot in law.knots]
            if any(later < earlier for earlier, later in pairwise(values)):
                yield Problem(f"{place}.knots", f"{key} must not fall from one knot to the next")


def _points(profile: LatencyProfile) -> Iterator[Problem]:
    if not profile.points and profile.origin != "declared":
        yield Problem("points", f'found none in a profile of origin "{profile.origin}"; measure some, or declare a law')
    if profile.points and profile.origin == "declared":
        yield Problem("origin", 'a profile with points is "measured" or "imported", not "declared"')
    seen: dict[tuple[object, ...], int] = {}
    for index, point in enumerate(profile.points):
        key = (point.phase, point.batch, point.new_tokens, point.context_tokens)
        first = seen.setdefault(key, index)
        if first < index:
            yield Problem(
                f"points[{index}]",
                f"{point.phase} at batch {point.batch}, {point.new_tokens} new and {point.context_tokens} context "
                f"tokens is already points[{first}]; keep one of them",
            )
        yield from _spread(f"points[{index}].latency_ms", point.latency_ms)


def _spread(place: str, latency_ms: LatencyStats) -> Iterator[Problem]:
    if latency_ms.p50 == 0 or latency_ms.mean == 0:
        yield Problem(place, "mean and p50 must be above 0: a step takes time")
    named = [(key, getattr(latency_ms, key)) for key in ("min", "p50", "p95", "p99")]
    known = [(key, value) for key, value in named if value is not None]
    for (low, below), (high, above) in pairwise(known):
        if above < below:
            yield Problem(place, f"{high} ({above:g}) lies below {low} ({below:g})")
    for key, side in (("p50_low", 1.0), ("p50_high", -1.0)):
        end = getattr(latency_ms, key)
        if end is not None and side * (end - latency_ms.p50) > NEGLIGIBLE * latency_ms.p50:
            beyond = "above" if side > 0 else "below"
            yield Problem(place, f"{key} ({end:g}) lies {beyond} p50 ({latency_ms.p50:g})")


def _law_beside_points(profile: LatencyProfile) -> Iterator[Problem]:
    law = profile.fit.law
    prefill_measured = any(point.phase == "prefill" for point in profile.points)
    by_prompt = law.per_prompt_token_ms or law.per_prompt_token_sq_us or law.knots
    if prefill_measured and law.step_ms == 0 and not by_prompt:
        yield Problem(
            "fit.law", "step_ms and per_prompt_token_ms are both 0 beside measured prefill points; fit the law to them"
        )


def _power(profile: LatencyProfile) -> Iterator[Problem]:
    for key in ("idle_w", "active_w"):
        if getattr(profile, key) == 0:
            yield Problem(key, "found 0; power that is not known is null, never 0")
    if profile.power_source == "none" and (profile.idle_w is not None or profile.active_w is not None):
        yield Problem("power_source", 'found "none" beside a power; say "nvml", "rapl" or "declared"')


def _sustained(profile: LatencyProfile) -> Iterator[Problem]:
    rows = profile.sustained or ()
    for index, (seconds, share) in enumerate(rows):
        if share > 1:
            yield Problem(f"sustained[{index}]", f"found a share of {share:g}, expected at most 1")
        if index and seconds <= rows[index - 1][0]:
            yield Problem(f"sustained[{index}]", f"its time ({seconds:g} s) must lie after the row before")
