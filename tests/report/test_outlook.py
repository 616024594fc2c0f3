"""Tipping points in sentences."""

from __future__ import annotations

from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.report.outlook import tip_words
from dsd_plan.report.summary import plain


def test_a_tipping_point_is_told_with_its_reason() -> None:
    point = TippingPoint(
        workload="chat",
        input="load",
        now=1.0,
        tips_at=3.2,
        searched=(0.1, 10.0),
        becomes="distributed",
        window=3,
        why="it keeps every budget, the chosen way breaks one with all devices that there are",
        plan_breaks_at=1.19,
    )
    assert plain(tip_words(point)).replace("\u202f", " ") == (
        "load of chat 3.2 × (now 1 ×; the plan as it is breaks a budget at 1.19 ×): distributed, window 3, for it "
        "keeps every budget, the chosen way breaks one with all devices that there are"
    )
