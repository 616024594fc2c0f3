"""The difference of two numbers that each have an interval, and whether it is more than chance."""

from __future__ import annotations

from math import exp, hypot, log

from dsd_plan.domain.comparison import Finding
from dsd_plan.domain.performance import Interval

Ends = tuple[float, float]

ROUNDING = 1e-9
"""Relative difference below which two numbers are the same one: sums may be added up in another order."""


def alike(before: float, after: float) -> bool:
    """Whether two numbers differ by no more than rounding."""
    return abs(after - before) <= ROUNDING * max(abs(before), abs(after))


def difference(before: float, before_ends: Ends, after: float, after_ends: Ends) -> Interval:
    """After − before with its interval, from each side's own, which need not be symmetric.

    The square-and-add limits of Zou and Donner (2008), "Construction of confidence limits about effect measures:
    a general approach", Statistics in Medicine 27(10), equation 3: the two sides are taken as independent. Where they
    share their luck, as replays with one seed do, the true interval is narrower.
    """
    point = after - before
    low = point - hypot(after - after_ends[0], before_ends[1] - before)
    high = point + hypot(after_ends[1] - after, before - before_ends[0])
    return Interval(point=point, low=low, high=high)


def ratio(before: float, before_ends: Ends, after: float, after_ends: Ends) -> Interval | None:
    """After / before with its interval: `difference` of the logarithms. None where one of them is not above 0."""
    if min(before, after, *before_ends, *after_ends) <= 0.0:
        return None
    logs = difference(log(before), _logs(before_ends), log(after), _logs(after_ends))
    return Interval(point=after / before, low=exp(logs.low), high=exp(logs.high))


def _logs(ends: Ends) -> Ends:
    return log(ends[0]), log(ends[1])


def finding(before: float | None, after: float | None, gap: Interval | None, *, exact: bool) -> Finding:
    """What may be said of a change: significant where the interval of the difference excludes none."""
    if before is None or after is None:
        return "same" if before is after else "not known"
    if alike(before, after):
        return "same"
    if exact:
        return "changed"
    if gap is None:
        return "not known"
    return "not significant" if gap.low <= 0.0 <= gap.high else "significant"
