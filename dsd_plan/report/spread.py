"""How a latency is spread over the workloads of a large fleet."""

from __future__ import annotations

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Chart
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import given_quantity, label, quantity
from dsd_plan.report.reading import MANY, best_known, latency

SPREAD_HELP = (
    "Workloads by their latency: the further right, the slower; the higher, the more of them. The dashed line is the "
    "budget that most of them have."
)
METRICS = ("tpot_p95_ms", "ttft_p95_ms")
BINS = 40


def spread_charts(study: Study) -> list[Chart]:
    """One for TPOT and one for TTFT, where there are more workloads than a reader can look at one by one."""
    return [found for metric in METRICS if (found := _spread(study, metric)) is not None]


def _spread(study: Study, metric: str) -> Chart | None:
    workloads = best_known(study).workloads
    values = [(value, w.name) for w in workloads if (value := latency(w, metric)) is not None]
    if len(values) <= MANY:
        return None
    values.sort()
    limits = [check.limit for check in study.budgets if check.budget == metric]
    limit = max(set(limits), key=limits.count) if limits else None
    top = max([values[-1][0], *([limit] if limit else [])]) * 1.05
    frame = layout(axis(f"{label(metric)}, ms", range=[0, top]), axis("workloads", rangemode="tozero"), bargap=0.05)
    if limit is not None:
        frame["shapes"] = [straight(limit, 0, limit, 1, "dash", yref="paper")]
        text = f"budget {given_quantity(metric, limit)}"
        frame["annotations"] = [note(text, limit, 1, yref="paper", yanchor="bottom", xanchor="right")]
        frame["margin"] = {**frame["margin"], "t": 28}
    middle, (worst, who) = values[len(values) // 2][0], values[-1]
    return Chart(
        slug=f"spread-{metric.split('_')[0]}",
        question=f"How is {label(metric)} spread over {len(values):,} workloads?",
        answer=f"Half of the workloads are below {quantity(metric, middle)}; the slowest is {isolated(who)} "
        f"with {quantity(metric, worst)}.",
        how_to_read=SPREAD_HELP,
        data=[
            {
                "type": "histogram",
                "x": [float(f"{value:.4g}") for value, _ in values],
                "xbins": {"start": 0, "end": top, "size": top / BINS},
                "marker": {"color": token("bar")},
                "hovertemplate": "%{x} ms: %{y} workloads<extra></extra>",
            }
        ],
        layout=frame,
        height_px=260,
    )
