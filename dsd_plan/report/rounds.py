"""Section 5: why. Where a round's time goes, how full the devices are, and what is known of energy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import Study, WorkloadParts
from dsd_plan.report.blocks import Block, Chart, KeyEntry, Prose, Section
from dsd_plan.report.capacity import devices_table
from dsd_plan.report.figures import ROUND_PARTS, axis, layout, note, straight, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import milliseconds, multiple, number, share
from dsd_plan.report.prices import price_table
from dsd_plan.report.reading import assignment_of, best_known, fullest_device, mode_name, option_numbers
from dsd_plan.report.tables import Cell, Number, Table, named, records_table

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
DEVICE_HELP = (
    "Saturation is offered work over the work possible at full batches. At 1 a queue grows without bound. A device is "
    "busy long before: a batching server steps all the time and still has room in its batches."
)


def why_section(study: Study) -> Section:
    """Round parts, device load, energy, and whatever attribution the study holds."""
    blocks: list[Block] = []
    for at, workload in enumerate(dict.fromkeys(parts.workload for parts in study.round_parts)):
        blocks.append(_round_chart(study, workload, at))
    if not blocks:
        blocks.append(Prose("The study does not say where a round's time goes."))
    if study.predicted.devices:
        blocks.append(_device_chart(study))
    blocks.append(_energy(study))
    if study.energy_parts:
        blocks.append(records_table("Where the energy goes", [asdict(row) for row in study.energy_parts], "energy"))
    if study.attribution:
        blocks.append(records_table("Who pays", [asdict(row) for row in study.attribution], "attribution"))
    if study.prices:
        blocks.append(price_table(study))
    if study.timeline:
        blocks.append(records_table("Requests of a stretch of the replay", _followed(study), "timeline"))
    return Section("why", "Why?", "Why?", _so_what(study), tuple(blocks))


def _followed(study: Study) -> list[dict[str, Any]]:
    columns = ("request", "workload", "mode", "prompt_tokens", "output_tokens", "came_ms", "ended_ms")
    return [
        {"device": excerpt.device, **{column: getattr(session, column) for column in columns}}
        for excerpt in study.timeline
        for session in excerpt.sessions
    ]


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
        marker: dict[str, Any] = {"color": token(colour), "line": {"color": token("paper"), "width": 1}}
        if hatch:
            pattern = {"shape": hatch, "fgcolor": token("ink"), "fgopacity": 0.25, "size": 6, "solidity": 0.25}
            marker["pattern"] = {**pattern, "bgcolor": token(colour)}
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
                "marker": marker,
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


def _device_chart(study: Study) -> Chart:
    known = best_known(study)
    devices = study.predicted.devices
    names = [chart_text(device.name) for device in devices]
    seen = {device.name: device for device in known.devices}
    observed = [seen[d.name].saturation if d.name in seen else None for d in devices]
    tall = len(devices)
    source = "measured" if known.source == "testbed" else "replay"
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [device.saturation for device in devices],
            "y": names,
            "marker": {"color": token("bar")},
            "hovertemplate": "model: %{x:.3g}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": observed,
            "y": names,
            "marker": {"symbol": "line-ns-open", "size": 22, "color": token("ink"), "line": {"width": 3}},
            "hovertemplate": f"{source}: %{{x:.3g}}<extra></extra>",
        },
    ]
    top = max([1.1, *(d.saturation * 1.1 for d in devices if d.saturation)])
    frame = layout(
        axis("saturation", range=[0, top]),
        axis("", autorange="reversed", ticks="", showgrid=False),
        bargap=0.45,
        shapes=[straight(1, -0.5, 1, tall - 0.5, "dot")],
        annotations=[note("knee", 1, -0.5, xanchor="right", yanchor="bottom", xshift=-4)],
    )
    frame["margin"] = {**frame["margin"], "t": 28}
    return Chart(
        slug="devices",
        question="How full is each device?",
        answer=_device_answer(study),
        how_to_read=DEVICE_HELP,
        data=data,
        layout=frame,
        height_px=104 + 44 * tall,
        key=(KeyEntry("bar", "model"), KeyEntry("ink", source, "tick")),
        numbers=devices_table(study),
    )


def _device_answer(study: Study) -> str:
    device = fullest_device(best_known(study))
    if device is None or device.saturation is None:
        return "No saturation is known."
    busy = f", and busy {share(device.busy)} of the time" if device.busy is not None else ""
    return f"{isolated(device.name)} is the fullest, at {multiple(device.saturation)} of what it can do{busy}."


def _energy(study: Study) -> Table | Prose:
    """Energy a token of every option; said in words where no option has it."""
    known: list[tuple[str, Performance]] = [
        (option.name, found) for option in study.options if (found := option_numbers(option)) is not None
    ]
    energies = [found.fleet.energy_j_per_token for _, found in known]
    if all(value is None for value in [*energies, best_known(study).fleet.energy_j_per_token]):
        return Prose(
            "Energy a token is not known: at least one deployed device has no measured or declared power, "
            "so there is no sum to show."
        )
    rows = tuple(
        (
            named(name),
            Number(found.fleet.power_w, "W", unknown="not known"),
            Number(found.fleet.energy_j_per_token, "J", unknown="not known"),
        )
        for name, found in known
    )
    return Table(
        "What energy does a token take?",
        ("Option", "Power of the fleet", "Energy a token"),
        rows,
        file="energy-options",
    )


def _so_what(study: Study) -> str:
    workload = next(iter(dict.fromkeys(parts.workload for parts in study.round_parts)), None)
    if workload is None:
        return "Without a round's parts, only the total is known."
    bar = _ordered(study, workload)[0]
    first, value = max(part_values(bar), key=lambda part: part[1])
    return (
        f"To make {isolated(workload)} faster, shorten {PART_WORDS[first]} first: {milliseconds(value)} of each round."
    )
