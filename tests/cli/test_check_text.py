"""What `check` says of recordings and of acceptance that is another pair's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.cli.check_text import fleet_promises, foreign, promises, recorded, show_scenario, stream
from dsd_plan.domain.coverage import coverage
from dsd_plan.domain.scenario import FleetBudgets
from dsd_plan.domain.workload import Budgets, RequestTrace
from tests.domain.clinic import METADATA, REQUESTS, ROUNDS, SCENARIO, part


def test_a_recording_tells_its_rate_and_lengths_like_a_declared_stream() -> None:
    # Two gaps in 4 s; (10 + 300 + 20) / 3 and (5 + 6 + 700) / 3.
    assert stream(REQUESTS) == "0.500 requests/s (3 recorded requests), 110 tokens in, 237 out on average"
    one = RequestTrace(np.array([2.0]), np.array([7]), np.array([9]))
    assert recorded(one).startswith("all at one time (1 recorded request), 7.00 tokens in")


@pytest.mark.parametrize(
    ("draft", "target", "warned"), [("small", "big", False), ("other", "big", False), ("other", "others", True)]
)
def test_acceptance_of_another_pair_is_a_warning(draft: str, target: str, warned: bool) -> None:
    acceptance = replace(ROUNDS, metadata=replace(METADATA, draft=draft, target=target))
    said = list(foreign(replace(SCENARIO, pairs=part(SCENARIO.pairs, acceptance=acceptance))))
    assert [text.partition(", another pair")[0] for text in said] == (
        ["small proposes for big: its acceptance was recorded with other for others"] if warned else []
    )


def test_the_legend_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_scenario(SCENARIO, coverage(SCENARIO))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "– declared" in " ".join(lines[-2:])


def test_every_budget_is_listed() -> None:
    asked = replace(SCENARIO.workloads[0], budgets=Budgets(tpot_p95_ms=45.0, goodput_share=0.99))
    said = promises(asked).replace("\u202f", " ")
    assert said == "TPOT p95 45.0 ms, 99 % of requests within all of them"
    assert promises(SCENARIO.workloads[0]) == "none"
    of_fleet = FleetBudgets(energy_j_per_token=0.01, cost_per_hour=12.5, power_w={"gpu": 500.0})
    said = fleet_promises(of_fleet).replace("\u202f", " ")
    assert said == "energy a token 0.01 J, cost an hour 12.5, power of one gpu 500 W"
    assert fleet_promises(FleetBudgets()) == ""
