"""Growth to a date: compounding by hand, and rates that cannot be read."""

from __future__ import annotations

from datetime import date

import pytest

from dsd_plan.capacity.growth import growing, growth_of
from dsd_plan.errors import InputError

START = date(2026, 1, 1)


def test_load_doubles_in_a_year_at_a_hundred_per_cent() -> None:
    asked = growing("100%/year", START, "2028-01-01")
    assert asked.load_on(date(2027, 1, 1)) == pytest.approx(2.0, rel=1e-3)
    assert asked.load_on(date(2028, 1, 1)) == pytest.approx(4.0, rel=2e-3)


def test_a_budget_breaks_on_the_day_that_its_load_is_passed() -> None:
    # 10 % a week: 1.1^3 = 1.331 after 21 days, so what holds 1.331 is kept on the 22nd of January, not on the 23rd.
    asked = growing("10 % / week", START, "2026-06-01")
    found = growth_of(asked, {"chat: tpot_p95_ms": 1.1**3, "chat: ttft_p95_ms": 0.9, "saturation": 50.0, "never": None})
    assert [(row.breaks, row.date, row.kept_at_start) for row in found.dates] == [
        ("chat: tpot_p95_ms", "2026-01-22", True),
        ("chat: ttft_p95_ms", None, False),
        ("saturation", None, True),
        ("never", None, True),
    ]
    assert found.curve[0].broken == ("chat: ttft_p95_ms",)
    assert found.curve[-1].date == "2026-06-01"
    assert found.curve[-1].broken == ("chat: tpot_p95_ms", "chat: ttft_p95_ms")
    assert found.load_at_end == pytest.approx(1.1 ** (151 / 7))
    loads = [point.load for point in found.curve]
    assert loads == sorted(loads)
    assert len(loads) <= 25


def test_what_holds_for_ever_needs_no_date_beyond_the_calendar() -> None:
    asked = growing("0.0001%/year", START, "2026-02-01")
    assert growth_of(asked, {"saturation": 60.0}).dates[0].date is None


@pytest.mark.parametrize("rate", ["5", "5%", "5%/moon", "-5%/month", "0%/month", "five%/month", ""])
def test_a_rate_that_cannot_be_read(rate: str) -> None:
    with pytest.raises(InputError, match=r"--growth.*expected a rate such as 5%/month"):
        growing(rate, START, "2027-01-01")


@pytest.mark.parametrize("until", ["soon", "2027-13-01", "31.12.2027"])
def test_a_day_that_cannot_be_read(until: str) -> None:
    with pytest.raises(InputError, match=r"--until.*expected a day such as 2027-12-31"):
        growing("5%/month", START, until)


def test_an_end_before_the_start() -> None:
    with pytest.raises(InputError, match="does not lie after 2026-01-01"):
        growing("5%/month", START, "2025-12-31")
