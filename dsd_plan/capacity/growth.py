"""From breaking loads to dates: load that grows by a rate, compounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor, log
from typing import Literal

from dsd_plan.domain.capacity import BreakDate, Growth, GrowthPoint
from dsd_plan.errors import InputError

Every = Literal["day", "week", "month", "year"]
DAYS: Mapping[Every, float] = {"day": 1.0, "week": 7.0, "month": 365.2425 / 12.0, "year": 365.2425}
"""Months and years are of their mean length: a rate is no calendar."""
MOST_POINTS = 24
LAST = date(9999, 12, 31)

_RATE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*%\s*/\s*(day|week|month|year)\s*")


@dataclass(frozen=True, slots=True)
class Growing:
    """How load is said to grow."""

    rate: float
    every: Every
    start: date
    until: date

    def load_on(self, day: date) -> float:
        """Multiple of the load at the start."""
        return float((1.0 + self.rate) ** ((day - self.start).days / DAYS[self.every]))

    def day_of(self, load: float) -> date:
        """The last day on which load is not above `load`, which is 1 or more."""
        days = log(load) / log(1.0 + self.rate) * DAYS[self.every]
        return self.start + timedelta(days=min(floor(days + 1e-9), (LAST - self.start).days))


def growing(rate: str, start: date, until: str) -> Growing:
    """Read `5%/month` and `2027-12-31`. Raises InputError naming the option that is wrong."""
    written = _RATE.fullmatch(rate)
    if written is None or float(written[1]) <= 0.0:
        raise InputError("--growth", f'found "{rate}", expected a rate such as 5%/month (day, week, month or year)')
    try:
        end = date.fromisoformat(until)
    except ValueError:
        raise InputError("--until", f'found "{until}", expected a day such as 2027-12-31') from None
    if end <= start:
        raise InputError(
            "--until", f"found {end}, which does not lie after {start}, when growth starts; name a later day"
        )
    every: Every = written[2]  # type: ignore[assignment]
    return Growing(float(written[1]) / 100.0, every, start, end)


def growth_of(asked: Growing, edges: Mapping[str, float | None]) -> Growth:
    """When each of `edges` (what breaks, and the largest load that it holds; None: every one) is passed."""
    return Growth(
        rate=asked.rate,
        every=asked.every,
        start=asked.start.isoformat(),
        until=asked.until.isoformat(),
        load_at_end=asked.load_on(asked.until),
        dates=tuple(_date(asked, name, load) for name, load in edges.items()),
        curve=tuple(_point(asked, day, edges) for day in _days(asked)),
    )


def _date(asked: Growing, name: str, load: float | None) -> BreakDate:
    if load is None:
        return BreakDate(breaks=name, date=None, kept_at_start=True)
    if load < 1.0:
        return BreakDate(breaks=name, date=None, kept_at_start=False)
    day = asked.day_of(load)
    return BreakDate(breaks=name, date=day.isoformat() if day < asked.until else None, kept_at_start=True)


def _days(asked: Growing) -> tuple[date, ...]:
    """The first and the last day, and periods between them, thinned to a few."""
    span = (asked.until - asked.start).days
    points = max(1, min(MOST_POINTS, round(span / DAYS[asked.every])))
    return tuple(dict.fromkeys(asked.start + timedelta(days=round(span * k / points)) for k in range(points + 1)))


def _point(asked: Growing, day: date, edges: Mapping[str, float | None]) -> GrowthPoint:
    load = asked.load_on(day)
    broken = tuple(name for name, held in edges.items() if held is not None and load > held)
    return GrowthPoint(date=day.isoformat(), load=load, broken=broken)
