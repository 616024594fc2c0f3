"""Section 5: why. Where a round's time goes; energy and acceptance stand beside it."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import Study, WorkloadParts
from dsd_plan.report.blocks import Chart, KeyEntry, Prose, Section, by_case
from dsd_plan.report.energy import energy_blocks
from dsd_plan.report.evidence import acceptance_charts
from dsd_plan.report.figures import ROUND_PARTS, axis, bar_marker, layout, token
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import milliseconds, number, several
from dsd_plan.report.reading import assignment_of, key_first, mode_name
from dsd_plan.report.tables import Cell, Number, Table

MOST_ROUNDS = 12
"""Workloads whose rounds are drawn."""
KEY = (
    KeyEntry("part-draft", "draft"),
    KeyEntry("part-network", "network, up and down"),
    KeyEntry("part-wait", "wait for the target", "hatch"),
    KeyEntry("part-verify", "target step"),
)
ROUND_HELP = (
    "A bar is one round of one mode: drafting, the way up, waiting for the target's iteration, the target's step, the "
    "way back. In target only a round is one iteration and gives one token, elsewhere it gives several, so a longer "
    "bar can still be the faster mode: TPOT is a round's time over the tokens it gives."
)


def why_section(study: Study) -> Section:
    """Where a round's time goes, where the joules and the money go, and how many proposals are accepted."""
    workloads = key_first(study, [parts.workload for parts in study.round_parts])
    drawn = workloads[:MOST_ROUNDS]
    cases = tuple((workload, (_round_chart(study, workload, at),)) for at, workload in enumerate(drawn))
    blocks = by_case("Workload", cases) or [Prose("The study does not say where a round's time goes.")]
    if len(workloads) > MOST_ROUNDS:
        blocks.append(
            Prose(f"The study also holds rounds of {several(len(workloads) - MOST_ROUNDS, 'more workload')}.")
        )
    blocks += energy_blocks(study)
    blocks += acceptance_charts(study)
    return Section("why", "Why?", "Why?", _so_what(study), tuple(blocks))


def _ordered(study: Study, workload: str) -> list[WorkloadParts]:
    """The plan's own mode first."""
    assignment = assignment_of(study, workload)
    mine = [parts for parts in study.round_parts if parts.workload == workload]
    return sorted(mine, key=lambda parts: assignment is None or parts.mode != assignment.mode)


def part_values(parts: WorkloadParts) -> list[tuple[str, float]]:
    """(name, ms) in the order of time."""
    return [(name, getattr(parts.parts, field)) for field, name, _, _ in ROUND_PARTS]


def _round_chart(study: Study, workload: str, at: int) -> Chart:
    bars = _ordered(study, workload)
    names = [mode_name(bar.mode) for bar in bars]
    data: list[dict[str, Any]] = []
    for field, name, colour, hatch in ROUND_PARTS:
        values = [getattr(bar.parts, field) for bar in bars]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "x": values,
                "y": names,
                "text": [number(value) if value else "" for value in values],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "constraintext": "inside",
                "textfont": {"color": token("part-verify-ink" if name == "verify" else "part-ink"), "size": 12},
                "marker": bar_marker(colour, hatch),
                "hovertemplate": f"{name}: %{{x:.3g}} ms<extra></extra>",
            }
        )
    frame = layout(
        axis("time of one round, ms", rangemode="tozero"),
        axis("", autorange="reversed", ticks="", showgrid=False),
        barmode="stack",
        bargap=0.35,
        uniformtext={"mode": "hide", "minsize": 12},
    )
    return Chart(
        slug=f"round-{at}",
        question=f"Where does a round's time go for {isolated(workload)}?",
        answer=_round_answer(bars[0]),
        how_to_read=ROUND_HELP,
        data=data,
        layout=frame,
        height_px=90 + 56 * len(bars),
        key=KEY,
        numbers=_round_numbers(bars),
    )


def _round_answer(bar: WorkloadParts) -> str:
    ranked = sorted(part_values(bar), key=lambda part: -part[1])
    (first, first_ms), (second, second_ms) = ranked[0], ranked[1]
    return (
        f"In {mode_name(bar.mode)} mode, {PART_WORDS[first]} takes the most, {milliseconds(first_ms)}; "
        f"then {PART_WORDS[second]}, {milliseconds(second_ms)}."
    )


PART_WORDS = {
    "draft": "drafting",
    "uplink": "the way up",
    "wait": "waiting for the target",
    "verify": "the target's step",
    "downlink": "the way back",
}


def _round_numbers(bars: list[WorkloadParts]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (mode_name(bar.mode), *(Number(value, "ms") for _, value in part_values(bar))) for bar in bars
    ]
    columns = ("Mode", "Draft", "Uplink", "Wait", "Verify", "Downlink")
    return Table("Mean time of a round by where it goes", columns, tuple(rows), file="round")


def _so_what(study: Study) -> str:
    workload = next(iter(key_first(study, [parts.workload for parts in study.round_parts])), None)
    if workload is None:
        return "Without a round's parts, only the total is known."
    bar = _ordered(study, workload)[0]
    first, value = max(part_values(bar), key=lambda part: part[1])
    return (
        f"To make {isolated(workload)} faster, shorten {PART_WORDS[first]} first: {milliseconds(value)} of each round."
    )
