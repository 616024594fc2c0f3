"""The front of plans that no other beats, as a chart: what better latency costs."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.domain.study_outlook import ParetoPoint
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, mode_key, mode_token, token
from dsd_plan.report.markup import chart_text
from dsd_plan.report.numbers import count, number, quantity
from dsd_plan.report.outlook import front_rows, front_title, mode_words
from dsd_plan.report.tables import Table, records_table

FRONT_HELP = (
    "A dot is a plan that keeps every budget under the model; further left is cheaper, lower is faster, and no plan "
    "known is both. The ringed one is the plan. Its colour is the mode, the simplest where workloads differ."
)
NOT_SEARCHED = " Faster ones for less were not searched for: `optimize --pareto cost,tpot` does that."
AXES = (
    ("cost_per_hour", "cost an hour", "What does a lower latency cost?", "cheapest", "an hour"),
    ("energy_j_per_token", "energy, J a token", "What does a lower latency take in energy?", "most frugal", "a token"),
    ("devices", "devices", "What does a lower latency take in devices?", "smallest", "devices"),
)
"""What may stand on the horizontal axis, the first in which plans differ: its words, the question, what its least is
called, and what is said behind a number."""


def front_table(study: Study) -> Table:
    """Every point of the front, its plan in words."""
    return records_table(front_title(study), front_rows(study), "pareto")


def front_chart(study: Study) -> Chart | None:
    """Mean TPOT against cost, energy or devices; None where there are not three plans that differ in one of them."""
    searched = bool(study.pareto_axes)
    found = next((each for each in AXES if len({getattr(p, each[0]) for p in study.pareto} - {None}) > 1), None)
    if found is None or len(study.pareto) < 3:
        return None
    field, words, question, least, unit = found
    points = [point for point in study.pareto if getattr(point, field) is not None]
    modes = list(dict.fromkeys(point.mode.split(", ")[0] for point in points))
    data = [_dots([point for point in points if point.mode.split(", ")[0] == mode], field, mode) for mode in modes]
    chosen = [point for point in points if point.chosen]
    if chosen:
        data.append(_ring(chosen[0], field))
    xs = [getattr(point, field) for point in points]
    ys = [point.tpot_ms for point in points]
    cheapest, fastest = points[xs.index(min(xs))], points[ys.index(min(ys))]
    most = _amount(field, getattr(fastest, field))
    return Chart(
        slug="front",
        question=question,
        answer=f"{f'The {least} plan' if searched else f'Of the plans met on the way, the {least}'} takes "
        f"{_amount(field, min(xs))} {unit} at a mean TPOT of {number(cheapest.tpot_ms)} ms; the fastest "
        f"{most} {unit} at {number(min(ys))} ms.{'' if searched else NOT_SEARCHED}",
        how_to_read=FRONT_HELP,
        data=data,
        layout=layout(
            axis(words, range=[0, max(xs) * 1.08]),
            axis("mean TPOT, ms", range=[0, max(ys) * 1.12]),
        ),
        height_px=320,
        key=(*mode_key(modes, "dot"), *((KeyEntry("ink", "the plan", "ring"),) if chosen else ())),
        numbers=front_table(study),
    )


def _amount(field: str, value: float) -> str:
    return count(value) if field == "devices" else quantity(field, value)


def _dots(points: list[ParetoPoint], field: str, mode: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [getattr(point, field) for point in points],
        "y": [point.tpot_ms for point in points],
        "marker": {"size": 10, "color": token(mode_token(mode)), "line": {"color": token("paper"), "width": 1}},
        "customdata": [chart_text(point.words or mode_words(point.mode)) for point in points],
        "hovertemplate": "%{customdata}<br>%{x:.4g}, %{y:.3g} ms<extra></extra>",
    }


def _ring(point: ParetoPoint, field: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [getattr(point, field)],
        "y": [point.tpot_ms],
        "marker": {"size": 18, "color": "rgba(0,0,0,0)", "line": {"color": token("ink"), "width": 2.5}},
        "hoverinfo": "skip",
    }
