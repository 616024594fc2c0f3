"""Numbers in sentences: three significant digits."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Three significant digits, without an exponent; a dash where it is not known."""
    if value is None:
        return "–"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share in per cent, to two significant digits and no finer than a tenth."""
    return f"{100.0 * share:.1f} %" if abs(share) < 0.1 else f"{100.0 * share:.0f} %"
