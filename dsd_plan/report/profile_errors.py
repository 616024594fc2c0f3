"""Figures of a profile's errors: how well each median is known, and how far the law alone is from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.profile_view import PointTrust
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.numbers import milliseconds
from dsd_plan.report.profile_figures import times_axis

KINDS = {"decode": "pair-0", "verify": "pair-1", "prefill": "pair-2"}


def widths_chart(points: Sequence[PointTrust], answer: str) -> Chart:
    """Half of each median's interval against the step's time."""
    known = [(point, 100.0 * point.half_width) for point in points if point.half_width is not None]
    return Chart(
        slug="widths",
        question="How well is each median known?",
        answer=answer,
        how_to_read=(
            "A dot is one kind of step. Its height is how far its median may lie from what is told, either way (95 %). "
            "Below the dashed line it is known within 3 %."
        ),
        data=_dots(known),
        layout=layout(
            times_axis("step, ms", [point.p50_ms for point in points]),
            axis("half of the 95 % interval, %", rangemode="tozero"),
            shapes=[straight(0, 3, 1, 3, "dash", xref="paper")],
            annotations=[note("3 %", 1, 3, xref="paper", xanchor="right", yanchor="bottom")],
        ),
        height_px=280,
        key=_kind_key(points),
    )


def law_chart(points: Sequence[PointTrust], answer: str) -> Chart:
    """What the law alone says of each measured step, over what was measured."""
    return Chart(
        slug="law",
        question="How far is the law from what was measured?",
        answer=answer,
        how_to_read=(
            "A dot is one kind of step: above the line the law says too long, below too short. Inside the grid the "
            "table answers, not the law; beyond it the law scales the nearest edge, so that only its shape counts."
        ),
        data=_dots([(point, 100.0 * point.law_error) for point in points]),
        layout=layout(
            times_axis("step, ms", [point.p50_ms for point in points]),
            axis("law over measured, %"),
            shapes=[straight(0, 0, 1, 0, xref="paper")],
        ),
        height_px=300,
        key=_kind_key(points),
    )


def _dots(told: Sequence[tuple[PointTrust, float]]) -> list[dict[str, Any]]:
    data = []
    for kind, colour in KINDS.items():
        own = [(point, value) for point, value in told if point.kind == kind]
        if own:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [point.p50_ms for point, _ in own],
                    "y": [value for _, value in own],
                    "customdata": [
                        f"{kind}, batch {p.batch}, {p.new_tokens:,} new, {p.context_tokens:,} context<br>"
                        f"{milliseconds(p.p50_ms)}, {p.samples} samples"
                        for p, _ in own
                    ],
                    "marker": {"size": 7, "color": token(colour), "opacity": 0.75},
                    "hovertemplate": "%{customdata}<br>%{y:.3g} %<extra></extra>",
                }
            )
    return data


def _kind_key(points: Sequence[PointTrust]) -> tuple[KeyEntry, ...]:
    return tuple(KeyEntry(colour, kind, "dot") for kind, colour in KINDS.items() if any(p.kind == kind for p in points))
