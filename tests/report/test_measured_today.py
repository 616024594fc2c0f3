"""Today's system stands beside the options as it was measured, where it was."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.report.reading import key_metric
from dsd_plan.report.summary import option_columns, option_values
from tests.report.rich import rich_study


def test_what_was_measured_of_todays_system_stands_in_its_row() -> None:
    study = rich_study()
    key = key_metric(study)
    assert study.backcast is not None
    assert key is not None
    assert key.limit is not None
    row = replace(study.backcast.rows[0], workload=key.workload, metric="tpot_ms.p95", measured=1234.0)
    study = replace(study, backcast=replace(study.backcast, rows=(row,)))
    today = replace(study.options[0], plan=study.backcast.plan)
    other = replace(study.options[0], plan=None)
    at = option_columns(study).index("TPOT p95")
    assert option_values(study, today)[at].replace("\u202f", " ") == "1.23 s ✗"
    assert "1.23" not in option_values(study, other)[at]
