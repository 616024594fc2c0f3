"""How full each device type is, predicted and observed."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import multiple, share
from dsd_plan.report.reading import best_known, fullest_device
from dsd_plan.report.tables import Number, Table, named

DEVICE_HELP = (
    "Saturation is offered work over the work possible at full batches. At 1 a queue grows without bound. A device is "
    "busy long before: a batching server steps all the time and still has room in its batches."
)
MOST_DRAWN = 12


def device_chart(study: Study) -> Chart:
    """Saturation by device type, predicted and observed: all of them, or the fullest."""
    known = best_known(study)
    ordered = sorted(study.predicted.devices, key=lambda d: -(d.saturation or 0.0))
    many = len(ordered) > MOST_DRAWN
    devices = tuple(ordered[:MOST_DRAWN]) if many else study.predicted.devices
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
        axis("saturation (1: as much as it can do)", range=[0, top]),
        axis("", autorange="reversed", ticks="", showgrid=False),
        bargap=0.45,
        shapes=[straight(1, -0.5, 1, tall - 0.5, "dot")],
        annotations=[note("knee", 1, -0.5, xanchor="right", yanchor="bottom", xshift=-4)],
    )
    frame["margin"] = {**frame["margin"], "t": 28}
    question = f"How full are the {MOST_DRAWN} fullest of {len(ordered):,} device types?"
    return Chart(
        slug="devices",
        question=question if many else "How full is each device?",
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


def devices_table(study: Study) -> Table:
    """Load of each device type, predicted and observed."""
    seen = {device.name: device for device in best_known(study).devices}
    rows = []
    for device in study.predicted.devices:
        other = seen.get(device.name)
        rows.append(
            (
                named(device.name),
                Number(device.saturation),
                Number(other.saturation if other else None),
                Number(other.busy if other else device.busy, "%"),
                Number(other.mean_batch if other else device.mean_batch),
                Number(other.power_w if other else device.power_w, "W", unknown="not measured"),
            )
        )
    columns = ("Device", "Saturation, model", "Saturation, replay", "Busy", "Mean batch", "Power")
    return Table("How full each device is", columns, tuple(rows), file="devices")
