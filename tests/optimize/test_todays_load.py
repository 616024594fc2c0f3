"""A study made for more than today's load is told in multiples of today's."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.study import MapDot, ModeMap
from dsd_plan.optimize.confirmation.todays_load import in_todays_load
from tests.report.studies import tiny_study


def over(y_name: str) -> ModeMap:
    dots = (MapDot(workload="mail", x=20.0, y=1.0),)
    return ModeMap(workload="chat", title="", x_name="rtt_ms", y_name=y_name, here=(40.0, 1.0), cells=(), dots=dots)


def test_other_workloads_lie_at_the_planned_load_too() -> None:
    told = in_todays_load(replace(tiny_study(), maps=(over("load"), over("acceptance"))), 1.5)
    by_load, by_acceptance = told.maps
    assert by_load.here == (40.0, 1.5)
    assert [dot.y for dot in by_load.dots] == [1.5]
    assert by_acceptance == over("acceptance")
