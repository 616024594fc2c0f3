"""The present system and the hours of the day on the real model and the real replay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan import optimize, predict
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.present import Measured, Present
from dsd_plan.planning import backcast
from dsd_plan.report import render_text
from tests.optimize.small_scenarios import chat, gpu, scenario

TODAY = Plan(
    scenario="small",
    assignments=(Assignment(workload="chat", mode="target_only", target_device="gpu"),),
    deployments=(Deployment(device="gpu", model="large", count=3),),
)
PLAIN = scenario(
    devices=(gpu(count=4, step_ms=25.0, commitment="on_demand"),),
    workloads=(replace(chat(rate_per_s=10.0, tpot_p95_ms=38.0), hourly_load=(0.2,) * 8 + (2.0,) * 16),),
    modes=("target_only",),
)
NOW = predict(PLAIN, TODAY).workload("chat")
GIVEN = replace(
    PLAIN,
    present=Present(plan=TODAY, measured=(Measured(workload="chat", tpot_mean_ms=(NOW.tpot_ms.mean or 0.0) * 1.05),)),
)


def test_the_model_is_held_against_today_at_todays_load() -> None:
    found = backcast(GIVEN)
    assert found is not None
    (row,) = found.rows
    assert row.ratio == pytest.approx(1 / 1.05)
    wide, narrow = predict(GIVEN, TODAY).workload("chat"), predict(PLAIN, TODAY).workload("chat")
    assert wide.ci is not None
    assert narrow.ci is not None
    (low, high), (own_low, own_high) = wide.ci["tpot_ms.mean"] or (0, 0), narrow.ci["tpot_ms.mean"] or (0, 0)
    assert low < own_low
    assert own_high < high
    assert any("the busiest hour of the day asks up to 2 times as much" in note for note in predict(GIVEN, TODAY).notes)


def test_a_study_of_both() -> None:
    study = optimize(GIVEN, seed=3, requests=400, replications=3)
    assert study.predicted.workload("chat").requests_per_s == pytest.approx(20.0)  # the peak
    assert study.scenario["workloads"][0]["requests"]["rate_per_s"] == 10.0  # as written
    assert study.backcast is not None
    assert study.backcast.rows[0].ratio == pytest.approx(1 / 1.05)
    today = study.options[0]
    assert today.predicted is None or today.predicted.workload("chat").requests_per_s == pytest.approx(20.0)
    night, day = study.hours[0], study.hours[12]
    assert night.devices["gpu"] < day.devices["gpu"]
    assert day.load == pytest.approx(1.0)
    assert night.load == pytest.approx(0.1)
    text = render_text(study)
    assert "Day           8:00 at 100" in text
    assert "Today         Today's system is reproduced within" in text
