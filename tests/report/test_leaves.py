"""What leaves a site in each mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.leaves import leaves_table, reprompting_table, traffic_table
from dsd_plan.report.tables import Number
from tests.report.rich import rich_study
from tests.report.studies import full_study, tiny_study


def with_scenario(**more: Any) -> Study:
    study = full_study()
    return replace(study, scenario={**study.scenario, **more})


def test_each_mode_that_was_searched_has_a_line() -> None:
    table = leaves_table(with_scenario(search={"modes": ["target_only", "fused", "distributed", "edge_only"]}))
    assert table is not None
    said = {str(row[0]): row[1:4] for row in table.rows}
    assert said["target only"] == said["fused"] == ("the prompt", "nothing", "the answer's tokens, as they come")
    assert said["distributed"][1] == "the ids of γ proposed tokens (4 bytes each)"
    assert said["edge alone"] == ("nothing", "nothing", "nothing")


def test_what_the_pair_sends_is_what_is_said() -> None:
    pair = {"draft": "draft-70m", "target": "target-7b", "wire": "topk", "k": 8, "verify_via": "reprompt"}
    table = leaves_table(with_scenario(pairs=[pair]))
    assert table is not None
    (row,) = table.rows
    assert "the 8 likeliest tokens at each of γ places" in str(row[2])
    assert "the whole text so far, sent again" in str(row[2])


def test_where_a_text_may_go_is_told() -> None:
    study = full_study()
    workload = {**study.scenario["workloads"][0], "allowed_sites": ["clinic", "region"]}
    table = traffic_table(with_scenario(workloads=[workload]))
    assert table is not None
    (row,) = table.rows
    assert isinstance(row[3], Number)
    assert "clinic, region" in str(row[4])


def test_without_bytes_nothing_is_said() -> None:
    study = tiny_study()
    quiet = replace(study.replayed, workloads=tuple(replace(w, bytes_per_token=None) for w in study.replayed.workloads))
    assert traffic_table(replace(study, replayed=quiet)) is None


def test_what_sending_the_context_again_costs_is_told_where_it_is_known() -> None:
    assert reprompting_table(full_study()) is None
    table = reprompting_table(rich_study())
    assert table is not None
    (row,) = table.rows
    assert [cell.value for cell in row if isinstance(cell, Number)] == [380.0, 1520.0, 1.2, 40.0, 2.0, 72.0]
