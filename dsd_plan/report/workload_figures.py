"""Figures of a request stream: its rate over time and by hour, its gaps, and how far its counts spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.workload_view import DispersionRow, Gaps, HourRow, Rates, WorkloadView
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.numbers import count, number, share
from dsd_plan.report.profile_figures import log_axis, ones_twos_fives
from dsd_plan.report.tables import Number, Table
from dsd_plan.report.trace_page import band, curve, points, spanning
from dsd_plan.report.trace_words import ends_words, span_words

RECORDED = "pair-1"
CHANCE = "pair-2"
CHANCE_KEY = KeyEntry(CHANCE, "independent arrivals (Poisson)", "dash")
CHANCE_BAND = (
    "if requests came independently of one another at the mean rate; steps outside it are bursts, lulls or the time "
    "of day."
)
COARSE = 0.5
"""Share of gaps of no length from which the recorder's clock is suspected."""
TIME_UNITS = ((2 * 86_400.0, 86_400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (180.0, 60.0, "minutes"))


def time_unit(span_s: float) -> tuple[float, str]:
    """Seconds of the unit in which a span reads best, and its name."""
    return next(((size, unit) for above, size, unit in TIME_UNITS if span_s >= above), (1.0, "s"))


def steps(edges: Sequence[float], values: Sequence[float], hover: str) -> dict[str, Any]:
    """A level line between each two edges."""
    return {
        **curve(edges, [*values, values[-1]], RECORDED, hover, dots=False),
        "line": {"color": token(RECORDED), "width": 2, "shape": "hv"},
    }


def rates_chart(rates: Rates, mean_per_s: float, made: tuple[float, float] | None = None) -> Chart:
    """Requests a second over the span; `made` is where 95 % of the parts of a law's streams lie."""
    size, unit = time_unit(rates.bin_s * len(rates.per_s))
    x = [at * rates.bin_s / size for at in range(len(rates.per_s) + 1)]
    ends = [0.0, x[-1]]
    low, high = made or rates.chance
    by = "the law" if made else "independent arrivals"
    outside = sum(not low <= each <= high for each in rates.per_s)
    most, least = max(rates.per_s), min(rates.per_s)
    return Chart(
        slug="rates",
        question="How steady is the traffic?",
        answer=(
            f"From {number(least)} to {number(most)} requests a second over parts of {span_words(rates.bin_s)}, "
            f"{number(mean_per_s)} on average; {outside} of {len(rates.per_s)} parts lie outside what "
            f"{by} would do, where about {count(0.05 * len(rates.per_s))} would."
        ),
        how_to_read=(
            "Each step is the rate in one part of the trace's span. The band is where 95 % of the parts would lie "
            + ("in streams that the law makes." if made else CHANCE_BAND)
        ),
        data=[
            band(ends, [low, low], [high, high]),
            steps(x, rates.per_s, f"from %{{x:.4g}} {unit}: %{{y:.3g}} a second"),
        ],
        layout=layout(
            axis(f"since the first request, {unit}", range=ends),
            axis("requests a second", range=spanning(rates.per_s, [high])),
            shapes=[straight(0, mean_per_s, 1, mean_per_s, "dash", xref="paper", layer="above")],
        ),
        height_px=300,
        key=(
            KeyEntry(RECORDED, "recorded", "line"),
            KeyEntry("pair-0", "mean", "dash"),
            KeyEntry("pair-band", f"95 % of {by}"),
        ),
    )


def hours_chart(hours: Sequence[HourRow], days: int) -> Chart:
    """Requests a second by hour of the day."""
    x = [row.hour for row in hours]
    busiest, calmest = max(hours, key=lambda row: row.per_s), min(hours, key=lambda row: row.per_s)
    mean = sum(row.per_s for row in hours) / len(hours)
    data = [band(x, [row.low for row in hours], [row.high for row in hours])] if days > 1 else []
    data.append(curve(x, [row.per_s for row in hours], RECORDED, "hour %{x}: %{y:.3g} a second"))
    return Chart(
        slug="hours",
        question="Does the hour of the day matter?",
        answer=(
            f"The busiest hour, {busiest.hour}, has {number(busiest.per_s)} requests a second, "
            f"{number(busiest.per_s / mean)} times the mean; the calmest, {calmest.hour}, has {number(calmest.per_s)}."
        ),
        how_to_read=(
            f"Hours are counted from the trace's first request, over {days} whole day{'s' * (days > 1)}: hour 0 is its "
            "first hour, not midnight. The band reaches from the least to the most of these days."
        ),
        data=data,
        layout=layout(
            axis("hour since the first request, modulo 24", tickvals=list(range(0, 24, 3)), range=[-0.5, 23.5]),
            axis("requests a second", range=spanning(row.high for row in hours)),
        ),
        height_px=280,
        key=(
            KeyEntry(RECORDED, "mean of days", "line"),
            *((KeyEntry("pair-band", "least to most"),) if days > 1 else ()),
        ),
    )


def gaps_chart(gaps: Gaps, cv: float, made: Sequence[tuple[float, float, float]] = ()) -> Chart:
    """How long it is from one request to the next; `made` is least, middle, most of streams made by a law."""
    middles = [(low * high) ** 0.5 for low, high in zip(gaps.edges_s, gaps.edges_s[1:], strict=False)]
    at_once = ""
    if gaps.at_once >= COARSE:
        at_once = f"; {share(gaps.at_once)} come together with the one before, as a coarse clock would tell it"
    elif gaps.at_once >= 0.005:
        at_once = f"; {share(gaps.at_once)} are too short to draw (independent: {share(gaps.at_once_poisson)})"
    verdict = "more regular than" if cv < 0.9 else "much like" if cv <= 1.1 else "burstier than"
    data: list[dict[str, Any]] = []
    if made:
        data.append(band(middles, [low for low, _, _ in made], [high for _, _, high in made]))
        data.append(curve(middles, [at for _, at, _ in made], "pair-0", "%{x:.3g} s, by the law: %{y:.2%}", dots=False))
    data.append(steps(gaps.edges_s, gaps.share, "from %{x:.3g} s: %{y:.2%} of gaps"))
    data.append(curve(middles, gaps.poisson, CHANCE, "%{x:.3g} s, independent: %{y:.2%}", dash="dash", dots=False))
    law = (KeyEntry("pair-0", "made by the law", "line"), KeyEntry("pair-band", "its streams")) if made else ()
    return Chart(
        slug="gaps",
        question="How long is it from one request to the next?",
        answer=(
            f"Gaps have a coefficient of variation of {number(cv)}: {verdict} independent arrivals, which have "
            f"1{at_once}."
        ),
        how_to_read=(
            "Each step is the share of gaps of about this length; lengths are on a logarithmic scale, so that every "
            "step is the same ratio wide. Independent arrivals follow the dashed curve. More short and more long gaps "
            "than it has mean bursts with lulls between."
        ),
        data=data,
        layout=layout(
            log_axis("gap, s", ones_twos_fives([gaps.edges_s[0], gaps.edges_s[-1]])),
            axis("of all gaps", range=spanning(gaps.share, gaps.poisson, *made), tickformat=".0%"),
        ),
        height_px=300,
        key=(KeyEntry(RECORDED, "recorded", "line"), *law, CHANCE_KEY),
    )


def dispersion_chart(rows: Sequence[DispersionRow]) -> Chart:
    """Variance over mean of counts against the stretch of time in which they are counted."""
    x = [row.window_s for row in rows]
    hover = "stretches of %{x:.3g} s: %{y:.3g}"
    return Chart(
        slug="dispersion",
        question="Do bursts last?",
        answer=dispersion_words(rows),
        how_to_read=(
            "The trace is cut into stretches of one length, and the requests in each are counted: the dot is the "
            "variance of these counts over their mean, 1 for independent arrivals. Where it rises with the stretch, "
            "bursts last; where it goes level, they are shorter. Both axes are logarithmic. Bars are 95 % intervals "
            "that take stretches as independent; long ones are few."
        ),
        data=[
            curve(x, [row.index for row in rows], RECORDED, hover, dots=False),
            points(x, [row.index for row in rows], [row.ends for row in rows], RECORDED, hover),
        ],
        layout=layout(
            stretch_axis(x),
            dispersion_axis([row.ends for row in rows]),
            shapes=[{**straight(0, 1, 1, 1, "dash", xref="paper"), "line": poisson_line()}],
        ),
        height_px=300,
        key=(KeyEntry(RECORDED, "recorded, with a 95 % interval", "dot"), CHANCE_KEY),
        numbers=Table(
            "Dispersion of counts",
            ("Stretch, s", "Stretches", "Variance over mean", "from", "to"),
            tuple(
                (
                    Number(row.window_s),
                    Number(row.windows, "#"),
                    Number(row.index),
                    Number(row.ends[0]),
                    Number(row.ends[1]),
                )
                for row in rows
            ),
            file="dispersion",
        ),
    )


def dispersion_words(rows: Sequence[DispersionRow]) -> str:
    """Whether counts spread more than chance would have them, and up to which stretch that grows."""
    first, last = rows[0], rows[-1]
    told = (
        f"the variance of counts is {number(first.index)}{ends_words(first.ends)} times their mean over "
        f"{span_words(first.window_s)} and {number(last.index)}{ends_words(last.ends)} times over "
        f"{span_words(last.window_s)}"
    )
    over = [row for row in rows if row.ends[0] > 1.0]
    if not over:
        return f"Not that the trace could tell: {told}."
    if len(rows) > 1 and last.ends[0] > rows[-2].index:
        return f"Yes, longer than the trace can tell: {told}, and still rising."
    top = next(row for row in rows if 1.25 * row.index >= max(each.index for each in rows))
    return f"Up to about {span_words(top.window_s)}: {told}."


def stretch_axis(windows_s: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis of stretches of time, wide enough for a mark."""
    return log_axis("stretch of time, s", ones_twos_fives([0.5 * windows_s[0], 2.0 * windows_s[-1]]))


def dispersion_axis(ends: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A logarithmic axis that holds 1 and all of these."""
    low, high = min(0.5, *(low for low, _ in ends)), max(2.0, *(high for _, high in ends))
    return log_axis("variance over mean", ones_twos_fives([low, high]))


def poisson_line() -> dict[str, Any]:
    """How independent arrivals are drawn."""
    return {"color": token(CHANCE), "width": 2, "dash": "dash"}


def burst_words(view: WorkloadView) -> str:
    """How bursty the trace is, in one sentence."""
    told = view.told
    if told.gap_cv is None:
        return "All requests come at one time."
    words = f"Gaps have a coefficient of variation of {number(told.gap_cv)} (independent arrivals: 1)"
    if view.dispersion:
        last = view.dispersion[-1]
        words += f", counts over {span_words(last.window_s)} a variance of {number(last.index)} times their mean"
    return f"{words}."
