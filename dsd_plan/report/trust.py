"""Section 7: can I trust it? Model against what was observed, and what is known of the inputs."""

from __future__ import annotations

from math import isfinite
from typing import Any

from dsd_plan.domain.study import Agreement, Study
from dsd_plan.report.blocks import Block, Chart, KeyEntry, Prose, Section
from dsd_plan.report.evidence import acceptance_blocks, profile_blocks
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.markup import Html, chart_text, isolated, mark_legend, safe
from dsd_plan.report.numbers import interval, label, signed_share
from dsd_plan.report.present import present_blocks
from dsd_plan.report.reading import best_known, busy_devices, declared_parts, errors_of, worst_first
from dsd_plan.report.tables import Cell, Number, Table, Words, named, quantity_cell

AGREEMENT_HELP = (
    "A dot is one metric: how far the model's prediction is from what was observed, with the 95 % interval of the "
    "observation as a bar. The grey band is the tolerance. A bar inside the band agrees, outside it disagrees, across "
    "its edge is undecided: more replications would tell. Filled dots agree, hollow ones do not or are undecided."
)

MOST_DRAWN = 14


def trust_section(study: Study) -> Section:
    """Agreements, acceptance, profiles, and what rests on a declaration."""
    blocks: list[Block] = present_blocks(study)
    if study.agreements:
        blocks += [_agreement_chart(study), _agreement_table(study)]
    else:
        blocks.append(Prose("No metric was compared with an observation."))
    blocks += [*acceptance_blocks(study), *profile_blocks(study)]
    blocks.append(Html(f'<p class="small legend">{mark_legend()}</p>'))
    return Section("trust", "Can I trust it?", "Can I trust it?", _so_what(study), tuple(blocks))


def _agreement_chart(study: Study) -> Chart:
    rows = worst_first(study.agreements)[:MOST_DRAWN]
    several = len({a.workload for a in rows}) > 1
    names = [label(a.metric) + (f", {chart_text(a.workload)}" if several else "") for a in rows]
    errors = [errors_of(a) for a in rows]
    places = list(range(len(rows)))
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "base": [-100 * a.tolerance for a in rows],
            "x": [200 * a.tolerance for a in rows],
            "y": places,
            "width": 0.62,
            "marker": {"color": token("band")},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [100 * error for _, error, _ in errors],
            "y": places,
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [100 * (high - error) for _, error, high in errors],
                "arrayminus": [100 * (error - low) for low, error, _ in errors],
                "color": token("ink"),
                "thickness": 1.5,
                "width": 4,
            },
            "marker": {
                "size": 10,
                "color": [token("ink") if a.verdict == "agrees" else token("paper") for a in rows],
                "line": {"color": token("ink"), "width": 2},
            },
            "customdata": [f"{a.verdict}, {signed_share(a.relative_error)}" for a in rows],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    ]
    reach = 115 * max(a.tolerance for a in rows)
    reach = max([reach, *(115 * abs(e) for error in errors for e in error if isfinite(e))])
    frame = layout(
        axis("model against observed, %", range=[-reach, reach]),
        axis(
            "",
            tickvals=places,
            ticktext=names,
            range=[len(rows) - 0.5, -0.5],
            ticks="",
            showgrid=False,
        ),
        shapes=[straight(0, -0.5, 0, len(rows) - 0.5, layer="above")],
        barmode="overlay",
    )
    return Chart(
        slug="agreement",
        question="Does the model agree with what was observed?" + _most(study),
        answer=_agreement_answer(study, worst_first(study.agreements)),
        how_to_read=AGREEMENT_HELP,
        data=data,
        layout=frame,
        height_px=80 + 34 * len(rows),
        key=(
            KeyEntry("ink", "agrees", "dot"),
            KeyEntry("ink", "undecided or disagrees", "ring"),
            KeyEntry("band", "tolerance"),
        ),
    )


def _most(study: Study) -> str:
    many = len(study.agreements)
    return f" The {MOST_DRAWN} worst of {many} metrics." if many > MOST_DRAWN else ""


def _agreement_answer(study: Study, rows: list[Agreement]) -> str:
    observed = "measured on the testbed" if study.measured else "replayed event by event"
    counts = {kind: sum(a.verdict == kind for a in rows) for kind in ("agrees", "undecided", "disagrees")}
    worst = rows[0]
    return (
        f"Of {len(rows)} metrics {observed}: {counts['agrees']} agree, {counts['undecided']} undecided, "
        f"{counts['disagrees']} disagree. Look first at {label(worst.metric)}, {signed_share(worst.relative_error)}."
    )


def _agreement_table(study: Study) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            named(a.workload),
            label(a.metric),
            quantity_cell(a.metric, a.predicted),
            quantity_cell(a.metric, a.observed.point),
            interval(a.metric, a.observed),
            Words(safe(signed_share(a.relative_error)), repr(a.relative_error)),
            Number(a.tolerance, "%", given=True),
            a.verdict,
        )
        for a in worst_first(study.agreements)
    ]
    columns = ("Workload", "Metric", "Predicted", "Observed", "Interval", "Error", "Tolerance", "Verdict")
    return Table("Model against observed, worst first", columns, tuple(rows), file="agreements")


def _so_what(study: Study) -> str:
    declared = declared_parts(study)
    worst = next(iter(worst_first(study.agreements)), None)
    if not best_known(study).steady:
        return "Without a steady state there is nothing to trust: lower the load or add devices first."
    first = "Nothing was cross-checked"
    if worst is not None:
        first = {
            "agrees": "Every metric agrees within its tolerance",
            "undecided": f"Nothing disagrees, but {label(worst.metric)} is undecided",
            "disagrees": f"Do not rely on the model's {label(worst.metric)} here",
        }[worst.verdict]
    busy = busy_devices(study)
    if busy:
        first += f"; {isolated(busy[0])} was measured while something else ran on it"
    if declared:
        return f"{first}; the decision is only as good as what was declared: {', '.join(declared[:2])}."
    return f"{first}, and nothing rests on a declaration."
