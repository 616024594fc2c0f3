"""Loads of a study that was made for more than today's load, told as multiples of today's."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.study import LoadCurve, ModeMap, Study
from dsd_plan.domain.study_outlook import TippingPoint


def in_todays_load(study: Study, planned: float) -> Study:
    """Curves, maps and tipping points of a study made for `planned` times today's load, against today's load."""
    if planned == 1.0:
        return study
    return replace(
        study,
        planned_load=planned,
        curves=tuple(_curve(curve, planned) for curve in study.curves),
        maps=tuple(_map(found, planned) for found in study.maps),
        tipping_points=tuple(_tip(point, planned) for point in study.tipping_points),
    )


def _times(load: float, planned: float) -> float:
    return float(f"{load * planned:.6g}")


def _curve(curve: LoadCurve, planned: float) -> LoadCurve:
    return replace(curve, points=tuple(replace(point, load=_times(point.load, planned)) for point in curve.points))


def _map(found: ModeMap, planned: float) -> ModeMap:
    if found.y_name != "load":
        return found
    x, y = found.here
    cells = tuple(replace(cell, y=_times(cell.y, planned)) for cell in found.cells)
    # The other workloads lie where the mapped one does: at the load that was planned for.
    dots = tuple(replace(dot, y=_times(dot.y, planned)) for dot in found.dots)
    return replace(found, here=(x, _times(y, planned)), cells=cells, dots=dots)


def _tip(point: TippingPoint, planned: float) -> TippingPoint:
    if point.input != "load":
        return point
    low, high = point.searched
    return replace(
        point,
        now=_times(point.now, planned),
        tips_at=None if point.tips_at is None else _times(point.tips_at, planned),
        searched=(_times(low, planned), _times(high, planned)),
        plan_breaks_at=None if point.plan_breaks_at is None else _times(point.plan_breaks_at, planned),
    )
